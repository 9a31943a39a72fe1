"""OpenAI's chat messages, as JSON, to checked values that can be rendered.

Knows no tokens. Source: OpenAI API reference, "Chat"; the project's contract for what is accepted.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jupyter_mlx_gpt_oss.errors import InvalidRequestError
from jupyter_mlx_gpt_oss.harmony.fields import (
    optional_text,
    require_list,
    require_name,
    require_object,
    require_text,
)

_REASONING_KEYS = ("reasoning", "reasoning_content", "thinking")
_TEXT_PARTS = {"text": "text", "input_text": "text", "output_text": "text", "refusal": "refusal"}


@dataclass(frozen=True, slots=True)
class Instructions:
    """A system or developer message."""

    text: str


@dataclass(frozen=True, slots=True)
class UserMessage:
    """What the user said."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that the assistant made; arguments verbatim."""

    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class AssistantMessage:
    """What the assistant thought, said and called, each perhaps empty."""

    reasoning: str
    content: str
    calls: tuple[ToolCall, ...]

    @property
    def is_final(self) -> bool:
        """Whether the content is an answer; beside calls it is a preamble."""
        return bool(self.content) and not self.calls


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a function returned."""

    name: str
    text: str


Message = Instructions | UserMessage | AssistantMessage | ToolResult


def read_messages(messages: Sequence[Mapping[str, Any]]) -> list[Message]:
    """Check OpenAI's `messages`.

    Raises:
        InvalidRequestError: no message, a wrong shape, content that is no text, or the result of an unknown call;
            names the field, such as `messages[2].content[0]`.
    """
    if not require_list(messages, "messages"):
        raise InvalidRequestError("messages must hold at least one message.", param="messages")
    return list(_read(messages))


def _read(messages: Sequence[Any]) -> Iterator[Message]:
    call_names: dict[str, str] = {}
    for index, message in enumerate(messages):
        param = f"messages[{index}]"
        fields = require_object(message, param)
        match fields.get("role"):
            case "system" | "developer":
                yield Instructions(_content(fields, param))
            case "user":
                yield UserMessage(_content(fields, param))
            case "assistant":
                yield _assistant(fields, param, call_names)
            case "tool":
                yield ToolResult(_called_name(fields, param, call_names), _content(fields, param))
            case "function":
                name = require_name(fields.get("name"), f"{param}.name")
                yield ToolResult(name, _content(fields, param))
            case _:
                expected = "system, developer, user, assistant, tool or function"
                raise InvalidRequestError(f"{param}.role must be {expected}.", param=f"{param}.role")


def _assistant(fields: Mapping[str, Any], param: str, call_names: dict[str, str]) -> AssistantMessage:
    reasonings = (optional_text(fields, key, param) for key in _REASONING_KEYS)
    reasoning = next((text for text in reasonings if text), "")
    content = "" if fields.get("content") is None else _content(fields, param)
    calls = []
    for index, call in enumerate(require_list(fields.get("tool_calls") or [], f"{param}.tool_calls")):
        path = f"{param}.tool_calls[{index}]"
        call_fields = require_object(call, path)
        calls.append(_call(call_fields.get("function"), f"{path}.function"))
        call_names[require_text(call_fields.get("id"), f"{path}.id")] = calls[-1].name
    if fields.get("function_call") is not None:
        calls.append(_call(fields["function_call"], f"{param}.function_call"))
    return AssistantMessage(reasoning, content, tuple(calls))


def _call(function: Any, param: str) -> ToolCall:
    fields = require_object(function, param)
    name = require_name(fields.get("name"), f"{param}.name")
    return ToolCall(name, require_text(fields.get("arguments"), f"{param}.arguments"))


def _called_name(fields: Mapping[str, Any], param: str, call_names: Mapping[str, str]) -> str:
    path = f"{param}.tool_call_id"
    call_id = require_text(fields.get("tool_call_id"), path)
    if call_id not in call_names:
        message = f"{path} must be the id of a tool call in an assistant message before it."
        raise InvalidRequestError(message, param=path)
    return call_names[call_id]


def _content(fields: Mapping[str, Any], param: str) -> str:
    path = f"{param}.content"
    content = fields.get("content")
    if isinstance(content, str):
        return content
    if not isinstance(content, list | tuple):
        raise InvalidRequestError(f"{path} must be a string or an array of text parts.", param=path)
    return "".join(_part(part, f"{path}[{index}]") for index, part in enumerate(content))


def _part(part: Any, param: str) -> str:
    fields = require_object(part, param)
    kind = require_text(fields.get("type"), f"{param}.type")
    if kind not in _TEXT_PARTS:
        message = f"{param} is not supported: the model reads text only, so its type must be text."
        raise InvalidRequestError(message, param=param)
    return require_text(fields.get(_TEXT_PARTS[kind]), f"{param}.{_TEXT_PARTS[kind]}")
