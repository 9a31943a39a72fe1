"""OpenAI's messages, tools and response format to the tokens of a Harmony prompt.

Knows no HTTP and no engine. The text of others is encoded as ordinary text and never becomes a control token.
Source: openai/harmony docs/format.md; where the renderer of openai-harmony differs, docs/harmony.md says why.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

from jupyter_mlx_gpt_oss.errors import InvalidRequestError, UnsupportedFeatureError
from jupyter_mlx_gpt_oss.harmony.conversation import (
    AsSampled,
    conversation_parts,
    message_parts,
    opened_parts,
)
from jupyter_mlx_gpt_oss.harmony.encoding import CALL, END, START
from jupyter_mlx_gpt_oss.harmony.fields import optional_text, require_json, require_name, require_object
from jupyter_mlx_gpt_oss.harmony.messages import AssistantMessage, read_messages
from jupyter_mlx_gpt_oss.harmony.prompt_parts import NO_LIMITS, PromptLimits, encode_sections
from jupyter_mlx_gpt_oss.harmony.python_tool import DECLARATION, PYTHON
from jupyter_mlx_gpt_oss.harmony.tools import offers_python, read_tools, render_tools
from jupyter_mlx_gpt_oss.harmony.typescript import one_line

_EFFORTS = {
    "none": "low",
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "high",
    "max": "high",
}
_MESSAGE_ENDS = (END, CALL)
_TOOL_CHOICES = ("auto", "none", "required")


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


def render_prompt(  # noqa: PLR0913  OpenAI's fields, and a few more
    messages: Sequence[Mapping[str, Any]],
    tools: Sequence[Mapping[str, Any]] = (),
    *,
    reasoning_effort: str = "medium",
    current_date: str | date | None = None,
    response_format: Mapping[str, Any] | None = None,
    tool_choice: str | Mapping[str, Any] = "auto",
    continues_last: bool = True,
    as_sampled: AsSampled = _never_sampled,
    limits: PromptLimits = NO_LIMITS,
) -> Prompt:
    """Render OpenAI's JSON to a prompt that ends in `<|start|>assistant`, and in what opens the answer, if anything.

    Args:
        messages: chat messages.
        tools: tool definitions, `type: function`, and `{"type": "python"}` for GPT-OSS's own python tool.
        reasoning_effort: none, minimal, low, medium, high, xhigh or max; none opens the answer after an empty analysis.
        current_date: `YYYY-MM-DD`; None is today.
        response_format: OpenAI's; a schema is told to the model here, and held to by the grammar.
        tool_choice: OpenAI's; none leaves the tools out.
        continues_last: go on with the answer of a last assistant message that has one; else another turn begins behind it.
        as_sampled: asked for each assistant message whose analysis stands in the prompt.
        limits: of the prompt.

    Raises:
        InvalidRequestError: a field of the wrong shape; names it.
        RequestTooLargeError, ContextLengthError: the prompt is beyond the limits. Any other exception is a bug.
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
    continued = last if continues_last and isinstance(last, AssistantMessage) and last.is_final else None
    if continued:  # its analysis stays: the answer is not finished
        conversation[-1] = replace(continued, content="")
    sections = [render_tools(functions)] if functions else []
    sections += _response_format_sections(response_format)
    day = _date_text(current_date)
    system = _system_text(reasoning_effort, day, has_functions=bool(functions), has_python=has_python)
    history = [
        *message_parts("system", system),
        *conversation_parts(conversation, sections, as_sampled, built_in),
    ]
    opened = opened_parts(continued, reasoning_effort, may_call=bool(functions) or has_python)
    before, start, after = encode_sections([history, [START, "assistant"], opened], limits, param="messages")
    return Prompt((*before, *start, *after), tuple(after), len(before))


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
        case "custom":
            message = f"{param} custom is not served; it may be function, python or allowed_tools."
            raise UnsupportedFeatureError(message, param=param)
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
