"""The items of a response's input to the chat messages that `harmony/` renders.

Source: OpenAI's API reference for responses, "Input item list".
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jupyter_mlx_gpt_oss.errors import InvalidRequestError
from jupyter_mlx_gpt_oss.harmony.fields import (
    optional_text,
    require_list,
    require_name,
    require_object,
    require_text,
)
from jupyter_mlx_gpt_oss.serving.response_tools import name_within

JsonObject = dict[str, Any]
_ROLES = ("user", "system", "developer")
_TEXT_KEYS = {
    "text": "text",
    "input_text": "text",
    "output_text": "text",
    "reasoning_text": "text",
    "refusal": "refusal",
}
_ID_PREFIXES = {
    "message": "msg_",
    "reasoning": "rs_",
    "function_call": "fc_",
    "function_call_output": "fco_",
}


@dataclass(slots=True)
class _Turn:
    """What the assistant thought, said and called, until another turn begins."""

    reasoning: list[str] = field(default_factory=list)
    content: list[str] = field(default_factory=list)
    calls: list[JsonObject] = field(default_factory=list)
    last: str = ""

    def takes(self, kind: str) -> bool:
        """Whether an item may belong to this turn: after calls only calls, and no two messages in a row."""
        return kind == "function_call" if self.calls else not (kind == self.last == "message")

    def message(self) -> JsonObject:
        """Return the turn as one message."""
        message: JsonObject = {"role": "assistant", "content": "\n".join(filter(None, self.content))}
        if self.reasoning:
            message["reasoning"] = "\n".join(filter(None, self.reasoning))
        if self.calls:
            message["tool_calls"] = self.calls
        return message


class _Reader:
    def __init__(self) -> None:
        self.messages: list[JsonObject] = []
        self._turn: _Turn | None = None
        self._call_ids: set[str] = set()

    def read(self, item: Mapping[str, Any], param: str) -> None:
        kind = kind_of(item, param)
        if kind == "message" and item.get("role") != "assistant":
            if item.get("role") not in _ROLES:
                expected = f"{', '.join(_ROLES)} or assistant"
                raise InvalidRequestError(f"{param}.role must be {expected}.", param=f"{param}.role")
            self._add({"role": item["role"], "content": _text(item.get("content"), f"{param}.content")})
        elif kind == "function_call_output":
            self._add(
                {
                    "role": "tool",
                    "tool_call_id": self._answered_call(item, param),
                    "content": _text(item.get("output"), f"{param}.output"),
                }
            )
        else:
            self._read_turn(kind, item, param)

    def end_turn(self) -> None:
        if self._turn is not None:
            self.messages.append(self._turn.message())
        self._turn = None

    def _add(self, message: JsonObject) -> None:
        self.end_turn()
        self.messages.append(message)

    def _answered_call(self, item: Mapping[str, Any], param: str) -> str:
        path = f"{param}.call_id"
        call_id = require_text(item.get("call_id"), path)
        if call_id not in self._call_ids:
            message = f"{path} must be the call_id of a function_call before it."
            raise InvalidRequestError(message, param=path)
        return call_id

    def _read_turn(self, kind: str, item: Mapping[str, Any], param: str) -> None:
        if self._turn is None or not self._turn.takes(kind):
            self.end_turn()
            self._turn = _Turn()
        self._turn.last = kind
        if kind == "reasoning":
            content = item.get("content")
            self._turn.reasoning.append(_text([] if content is None else content, f"{param}.content"))
        elif kind == "message":
            self._turn.content.append(_text(item.get("content"), f"{param}.content"))
        else:
            call = _call(item, param)
            self._call_ids.add(call["id"])
            self._turn.calls.append(call)


def messages_of(context: Iterable[JsonObject], items: Sequence[JsonObject]) -> list[JsonObject]:
    """Return the chat messages of a conversation.

    What the assistant thought, said and called in one turn becomes one message.

    Args:
        context: items that were checked before.
        items: the request's, with references already replaced; named as `input[0]`.

    Raises:
        InvalidRequestError: an item of a wrong kind or shape, content that is no text, or the result of an unknown call.
    """
    reader = _Reader()
    for item in context:
        reader.read(item, "previous_response_id")
    for index, item in enumerate(items):
        reader.read(item, f"input[{index}]")
    reader.end_turn()
    return reader.messages


def kind_of(item: Mapping[str, Any], param: str) -> str:
    """Return an item's type, which a message and a reference need not have.

    Raises:
        InvalidRequestError: another type than those that are served.
    """
    kind = item.get("type")
    if kind is None and "role" in item:
        kind = "message"
    elif kind is None and item.keys() - {"type"} == {"id"}:
        kind = "item_reference"
    path = f"{param}.type"
    kind = require_text(kind, path)
    if kind not in _ID_PREFIXES and kind != "item_reference":
        expected = f"{', '.join(_ID_PREFIXES)} or item_reference"
        raise InvalidRequestError(f"{path} must be {expected}.", param=path)
    return kind


def listed(item: JsonObject) -> JsonObject:
    """Return an item as OpenAI lists it: with a status, and its content in parts."""
    content = item.get("content")
    if item["type"] == "message" and isinstance(content, str):
        is_answer = item.get("role") == "assistant"
        part = {"type": "output_text", "annotations": []} if is_answer else {"type": "input_text"}
        item = {**item, "content": [{**part, "text": content}]}
    return {"status": "completed", **item}


def id_prefix(kind: str) -> str:
    """Return how the ids of items of a type begin."""
    return _ID_PREFIXES[kind]


def _call(item: Mapping[str, Any], param: str) -> JsonObject:
    name = require_name(item.get("name"), f"{param}.name")
    if namespace := optional_text(item, "namespace", param):
        name = name_within(namespace, name)
    function = {
        "name": name,
        "arguments": require_text(item.get("arguments"), f"{param}.arguments"),
    }
    call_id = require_text(item.get("call_id"), f"{param}.call_id")
    return {"id": call_id, "type": "function", "function": function}


def _text(content: Any, param: str) -> str:
    if isinstance(content, str):
        return content
    parts = require_list(content, param)
    return "".join(_part(part, f"{param}[{index}]") for index, part in enumerate(parts))


def _part(part: Any, param: str) -> str:
    fields = require_object(part, param)
    key = _TEXT_KEYS.get(require_text(fields.get("type"), f"{param}.type"))
    if key is None:
        message = f"{param} is not supported: the model reads text only, so its type must be input_text or output_text."
        raise InvalidRequestError(message, param=param)
    return optional_text(fields, key, param) or ""
