"""What nobody should send: values of a chat request, each of a wrong type, out of range, or of the wrong shape."""

from collections.abc import Mapping, Sequence
from typing import Any

_FUNCTION: dict[str, Any] = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}


def _call(**function: Any) -> dict[str, Any]:
    calls = [{"id": "c", "type": "function", "function": function}]
    question = {"role": "user", "content": "Hi"}
    return {"messages": [question, {"role": "assistant", "tool_calls": calls}, question]}


WRONG_VALUES: Sequence[Mapping[str, Any]] = (
    {"max_tokens": 0},
    {"max_tokens": "many"},
    {"temperature": "hot"},
    {"temperature": -1},
    {"temperature": float("nan")},
    {"top_p": 7},
    {"seed": "x"},
    {"seed": 2**70},
    {"stop": 5},
    {"stop": [5]},
    {"stop": [""]},
    {"stream": "yes"},
    {"logit_bias": {"a": 1}},
    {"logit_bias": {"5": None}},
    {"logit_bias": {"99999999": 5}},
    {"top_logprobs": 99, "logprobs": True},
    {"repetition_penalty": "x"},
    {"frequency_penalty": "x"},
    {"messages": []},
    {"messages": "Hi"},
    {"messages": [5]},
    {"messages": [{"role": "user"}]},
    {"messages": [{"content": "Hi"}]},
    {"messages": [{"role": "robot", "content": "Hi"}]},
    {"messages": [{"role": "user", "content": 5}]},
    {"messages": [{"role": "user", "content": [{"type": "text"}]}]},
    {"messages": [{"role": "user", "content": "\ud800"}]},
    {"messages": [{"role": "tool", "content": "Sun."}]},
    _call(name=5),
    _call(name="f", arguments=5),
    _call(name="f", arguments="{"),
    {"tools": "x"},
    {"tools": [5]},
    {"tools": [{"type": "function"}]},
    {"tools": [_FUNCTION], "tool_choice": 5},
    {"response_format": 5},
    {"chat_template_kwargs": 5},
)
