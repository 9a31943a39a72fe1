"""OpenAI's messages, tools and response format to the tokens of a Harmony prompt.

Knows no HTTP and no engine. The text of others is encoded as ordinary text and never becomes a control token.
Source: openai/harmony docs/format.md; where the renderer of openai-harmony differs, docs/harmony.md says why.
"""

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

from jupyter_mlx_gpt_oss.errors import InvalidRequestError
from jupyter_mlx_gpt_oss.harmony.encoding import CALL, CHANNEL, CONSTRAIN, END, MESSAGE, START, encode
from jupyter_mlx_gpt_oss.harmony.fields import optional_text, require_json, require_name, require_object
from jupyter_mlx_gpt_oss.harmony.messages import (
    AssistantMessage,
    Instructions,
    Message,
    ToolResult,
    UserMessage,
    read_messages,
)
from jupyter_mlx_gpt_oss.harmony.python_tool import DECLARATION, PYTHON, arguments_to_code
from jupyter_mlx_gpt_oss.harmony.tools import offers_python, read_tools, render_tools
from jupyter_mlx_gpt_oss.harmony.typescript import one_line

_EFFORTS = {
    "none": "low",
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "high",
}
_MESSAGE_ENDS = (END, CALL)
_TOOL_CHOICES = ("auto", "none", "required")
AsSampled = Callable[[int, AssistantMessage], Sequence[int]]
"""Gives the tokens of an assistant message, by its index, as the model sampled them, from `<|start|>assistant` on; or
none, and it is rendered anew."""


def _never_sampled(_index: int, _message: AssistantMessage) -> Sequence[int]:
    return ()


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt, and what of it already belongs to the answer."""

    token_ids: tuple[int, ...]
    """The whole prompt, `opened` included."""
    opened: tuple[int, ...]
    """What follows the prompt's `<|start|>assistant`; the parser reads it first, and its events do not count."""
    num_history_tokens: int
    """Tokens before the prompt's last `<|start|>assistant`."""

    @property
    def boundaries(self) -> tuple[int, ...]:
        """Positions right behind the end of each message before the answer, ascending."""
        history = enumerate(self.token_ids[: self.num_history_tokens], start=1)
        return tuple(end for end, token_id in history if token_id in _MESSAGE_ENDS)

    @property
    def turn_head(self) -> tuple[int, ...]:
        """The answer's `<|start|>assistant`, and what is opened: with the tokens sampled after it, the whole turn."""
        return self.token_ids[self.num_history_tokens :]


def render_chat(
    messages: Sequence[Mapping[str, Any]],
    tools: Sequence[Mapping[str, Any]] = (),
    *,
    reasoning_effort: str = "medium",
    current_date: str | date | None = None,
    response_format: Mapping[str, Any] | None = None,
    tool_choice: str | Mapping[str, Any] = "auto",
) -> list[int]:
    """Return the ids of the prompt; see `render_prompt`."""
    prompt = render_prompt(
        messages,
        tools,
        reasoning_effort=reasoning_effort,
        current_date=current_date,
        response_format=response_format,
        tool_choice=tool_choice,
    )
    return list(prompt.token_ids)


def render_prompt(  # noqa: PLR0913  OpenAI's fields, and one more
    messages: Sequence[Mapping[str, Any]],
    tools: Sequence[Mapping[str, Any]] = (),
    *,
    reasoning_effort: str = "medium",
    current_date: str | date | None = None,
    response_format: Mapping[str, Any] | None = None,
    tool_choice: str | Mapping[str, Any] = "auto",
    as_sampled: AsSampled = _never_sampled,
) -> Prompt:
    """Render OpenAI's JSON to a prompt that ends in `<|start|>assistant`, and in what opens the answer, if anything.

    Args:
        messages: chat messages; a last assistant message with content is continued.
        tools: tool definitions, `type: function`, and `{"type": "python"}` for GPT-OSS's own python tool.
        reasoning_effort: none, minimal, low, medium, high or xhigh; none opens the answer after an empty analysis.
        current_date: `YYYY-MM-DD`; None is today.
        response_format: OpenAI's; a schema is told to the model here, and held to by the grammar.
        tool_choice: OpenAI's; none leaves the tools out.
        as_sampled: asked for each assistant message whose analysis stands in the prompt.

    Raises:
        InvalidRequestError: a field of the wrong shape; names it. Any other exception is a bug.
    """
    conversation = read_messages(messages)
    functions = read_tools(tools)
    has_python = offers_python(tools)
    built_in = frozenset({PYTHON}) - {function.name for function in functions}
    _check_tool_choice(
        tool_choice, {*(function.name for function in functions), *([PYTHON] if has_python else ())}
    )
    if tool_choice == "none":
        functions, has_python = [], False
    last = conversation[-1]
    continued = last if isinstance(last, AssistantMessage) and last.is_final else None
    if continued:  # its analysis stays: the answer is not finished
        conversation[-1] = replace(continued, content="")
    sections = [render_tools(functions)] if functions else []
    sections += _response_format_sections(response_format)
    day = _date_text(current_date)
    system = _system_text(reasoning_effort, day, has_functions=bool(functions), has_python=has_python)
    token_ids = _message("system", system)
    token_ids += _conversation(conversation, sections, as_sampled, built_in)
    opened = _opened(continued, reasoning_effort, may_call=bool(functions) or has_python)
    answer = [START, *encode("assistant"), *opened]
    return Prompt((*token_ids, *answer), tuple(opened), len(token_ids))


def _system_text(reasoning_effort: str, day: str, *, has_functions: bool, has_python: bool) -> str:
    effort = _EFFORTS.get(str(reasoning_effort))
    if effort is None:
        message = f"reasoning_effort must be one of {', '.join(_EFFORTS)}."
        raise InvalidRequestError(message, param="reasoning_effort")
    declaration = f"{DECLARATION}\n\n" if has_python else ""
    text = (
        "You are ChatGPT, a large language model trained by OpenAI.\nKnowledge cutoff: 2024-06\n"
        f"Current date: {day}\n\nReasoning: {effort}\n\n{declaration}"
        "# Valid channels: analysis, commentary, final. Channel must be included for every message."
    )
    functions = "\nCalls to these tools must go to the commentary channel: 'functions'."
    return text + functions if has_functions else text


def _date_text(current_date: str | date | None) -> str:
    if current_date is None:
        return datetime.now().astimezone().date().isoformat()
    if isinstance(current_date, datetime):
        return current_date.date().isoformat()
    if isinstance(current_date, date):
        return current_date.isoformat()
    try:
        day = date.fromisoformat(current_date).isoformat()
    except (TypeError, ValueError):
        day = ""
    if not day or day != current_date:  # Python reads more than one form
        raise InvalidRequestError("current_date must be YYYY-MM-DD.", param="current_date")
    return day


def _check_tool_choice(tool_choice: str | Mapping[str, Any], names: Collection[str]) -> None:
    if isinstance(tool_choice, str):
        if tool_choice not in _TOOL_CHOICES:
            message = f"tool_choice must be {', '.join(_TOOL_CHOICES)} or an object that names a tool."
            raise InvalidRequestError(message, param="tool_choice")
        return
    choice = require_object(tool_choice, "tool_choice")
    param = "tool_choice.type"
    match choice.get("type"):
        case "function":
            function = require_object(choice.get("function"), "tool_choice.function")
            param = "tool_choice.function.name"
            name = require_name(function.get("name"), param)
        case "python":
            name = PYTHON
        case "allowed_tools":
            return
        case _:
            raise InvalidRequestError(f"{param} must be function, python or allowed_tools.", param=param)
    if name not in names:
        raise InvalidRequestError(f"{param} must be the name of one of the tools.", param=param)


def _response_format_sections(response_format: Mapping[str, Any] | None) -> list[str]:
    if response_format is None:
        return []
    fields = require_object(response_format, "response_format")
    match fields.get("type"):
        case "text":
            return []
        case "json_object":
            return ['# Response Formats\n\n## json_object\n\n// Any JSON object.\n{"type":"object"}']
        case "json_schema":
            return [_schema_section(fields.get("json_schema"), "response_format.json_schema")]
    message = "response_format.type must be text, json_object or json_schema."
    raise InvalidRequestError(message, param="response_format.type")


def _schema_section(json_schema: Any, param: str) -> str:
    fields = require_object(json_schema, param)
    name = require_name(fields.get("name"), f"{param}.name")
    description = one_line(optional_text(fields, "description", param))
    schema = require_object(fields.get("schema"), f"{param}.schema")
    require_json(schema, f"{param}.schema")
    comment = f"// {description}\n" if description else ""
    return f"# Response Formats\n\n## {name}\n\n{comment}{json.dumps(schema, ensure_ascii=False, separators=(',', ':'))}"


def _conversation(
    conversation: Sequence[Message], sections: list[str], as_sampled: AsSampled, built_in: frozenset[str]
) -> list[int]:
    """Render the messages; the leading instructions become one developer message, together with the sections.

    A call of a tool that is `built_in`, and its result, stand as the model was trained on them.
    """
    first = next(
        (i for i, m in enumerate(conversation) if not isinstance(m, Instructions)), len(conversation)
    )
    leading = "\n\n".join(m.text for m in conversation[:first] if isinstance(m, Instructions) and m.text)
    finals = [i for i, m in enumerate(conversation) if isinstance(m, AssistantMessage) and m.is_final]
    last_final = max(finals, default=-1)
    token_ids = _developer(leading, sections)
    for index, message in enumerate(conversation[first:], first):
        match message:
            case Instructions(text):
                token_ids += _developer(text, [])
            case UserMessage(text):
                token_ids += _message("user", text)
            case ToolResult(name, text) if name in built_in:
                token_ids += _message(f"{name} to=assistant", text, channel="analysis")
            case ToolResult(name, text):
                token_ids += _message(f"functions.{name} to=assistant", text, channel="commentary")
            case AssistantMessage() if index > last_final:
                token_ids += as_sampled(index, message) or _assistant(message, built_in, drops_analysis=False)
            case AssistantMessage():
                token_ids += _assistant(message, built_in, drops_analysis=True)
    return token_ids


def _developer(instructions: str, sections: list[str]) -> list[int]:
    parts = [f"# Instructions\n\n{instructions}", *sections] if instructions else sections
    return _message("developer", "\n\n".join(parts)) if parts else []


def _assistant(message: AssistantMessage, built_in: frozenset[str], *, drops_analysis: bool) -> list[int]:
    """Render analysis, preamble or answer, and calls, in the order in which the model samples them.

    A call names its channel first, as the model does; openai-harmony's order, recipient first, makes it call tools on
    the analysis channel (vLLM pull request 28139).
    """
    token_ids: list[int] = []
    if message.reasoning and not drops_analysis:
        token_ids += _message("assistant", message.reasoning, channel="analysis")
    if message.content:
        channel = "final" if message.is_final else "commentary"
        token_ids += _message("assistant", message.content, channel=channel)
    for call in message.calls:
        if call.name in built_in:
            header, body = encode(f"analysis to={call.name} code"), arguments_to_code(call.arguments)
        else:
            header = [*encode(f"commentary to=functions.{call.name} "), CONSTRAIN, *encode("json")]
            body = call.arguments
        token_ids += [START, *encode("assistant"), CHANNEL, *header, MESSAGE, *encode(body), CALL]
    return token_ids


def _message(author: str, text: str, *, channel: str | None = None) -> list[int]:
    header = [CHANNEL, *encode(channel)] if channel else []
    return [START, *encode(author), *header, MESSAGE, *encode(text), END]


def _opened(continued: AssistantMessage | None, reasoning_effort: str, *, may_call: bool) -> list[int]:
    final = [CHANNEL, *encode("final"), MESSAGE]
    if continued:
        return [*final, *encode(continued.content)]
    if reasoning_effort != "none":
        return []
    no_analysis = [CHANNEL, *encode("analysis"), MESSAGE, END, START, *encode("assistant")]
    return no_analysis if may_call else [*no_analysis, *final]  # a final message cannot call
