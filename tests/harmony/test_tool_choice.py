"""What a turn may call, by OpenAI's tool_choice."""

from collections.abc import Mapping
from typing import Any

import pytest

from jupyter_mlx_gpt_oss.errors import InvalidRequestError
from jupyter_mlx_gpt_oss.harmony.tool_choice import ToolChoice, read_tool_choice

_NAMED = {"type": "function", "function": {"name": "f"}}


def _allowed(mode: str, *tools: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": list(tools)}}


@pytest.mark.parametrize(
    ("tool_choice", "expected"),
    [
        ("auto", ToolChoice(frozenset({"f", "g", "python"}), is_required=False)),
        ("none", ToolChoice(frozenset(), is_required=False)),
        ("required", ToolChoice(frozenset({"f", "g", "python"}), is_required=True)),
        (_NAMED, ToolChoice(frozenset({"f"}), is_required=True)),
        ({"type": "python"}, ToolChoice(frozenset({"python"}), is_required=True)),
        (_allowed("auto", _NAMED), ToolChoice(frozenset({"f"}), is_required=False)),
        (_allowed("required", {"type": "python"}), ToolChoice(frozenset({"python"}), is_required=True)),
        (_allowed("auto"), ToolChoice(frozenset(), is_required=False)),
    ],
)
def test_a_choice_says_what_may_be_called(tool_choice: Any, expected: ToolChoice) -> None:
    assert read_tool_choice(tool_choice, ["f", "g", "python"]) == expected


@pytest.mark.parametrize(
    ("tool_choice", "param"),
    [
        ("any", "tool_choice"),
        ("", "tool_choice"),
        ({}, "tool_choice.type"),
        (7, "tool_choice"),
        ({"type": "custom"}, "tool_choice.type"),
        ({"type": "function"}, "tool_choice.function"),
        ({"type": "function", "function": {"name": "h"}}, "tool_choice.function.name"),
        ({"type": "function", "function": {"name": 1}}, "tool_choice.function.name"),
        ({"type": "python"}, "tool_choice.type"),
        (_allowed("required"), "tool_choice.allowed_tools.mode"),
        (_allowed("some", _NAMED), "tool_choice.allowed_tools.mode"),
        (_allowed("auto", {"type": "python"}), "tool_choice.allowed_tools.tools[0].type"),
        ({"type": "allowed_tools", "allowed_tools": {}}, "tool_choice.allowed_tools.tools"),
    ],
)
def test_a_wrong_choice_is_refused_by_name(tool_choice: Any, param: str) -> None:
    with pytest.raises(InvalidRequestError) as refusal:
        read_tool_choice(tool_choice, ["f"])
    assert refusal.value.param == param


def test_no_call_can_be_required_where_no_tool_is_offered() -> None:
    with pytest.raises(InvalidRequestError, match="no tool"):
        read_tool_choice("required", [])
