"""OpenAI's `tool_choice` to the names that a turn may call, and whether it must.

Source: OpenAI's API reference for chat completions, `tool_choice`.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from jupyter_mlx_gpt_oss.errors import InvalidRequestError
from jupyter_mlx_gpt_oss.harmony.fields import require_list, require_object, require_text
from jupyter_mlx_gpt_oss.harmony.python_tool import PYTHON

_MODES = ("auto", "none", "required")
_OBJECT_TYPES = ("function", PYTHON, "allowed_tools")


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """What a turn may call."""

    names: frozenset[str]
    """Tools that may be called; empty: the turn answers."""
    is_required: bool
    """Whether the turn must end in a call."""


def read_tool_choice(tool_choice: str | Mapping[str, Any], offered: Collection[str]) -> ToolChoice:
    """Read OpenAI's `tool_choice`.

    Args:
        tool_choice: `auto`, `none`, `required`, an object that names a function, `{"type": "python"}`, or one of type allowed_tools.
        offered: the names of the request's tools.

    Raises:
        InvalidRequestError: a wrong shape, a name that is not offered, or a call required where no tool is offered.
    """
    if isinstance(tool_choice, str):
        return _from_mode(tool_choice, frozenset(offered), "tool_choice")
    choice = require_object(tool_choice, "tool_choice")
    if choice.get("type") not in _OBJECT_TYPES:
        message = f"tool_choice.type must be one of {', '.join(_OBJECT_TYPES)}."
        raise InvalidRequestError(message, param="tool_choice.type")
    if choice["type"] != "allowed_tools":
        return ToolChoice(frozenset({_name_in(choice, offered, "tool_choice")}), is_required=True)
    param = "tool_choice.allowed_tools"
    allowed = require_object(choice.get("allowed_tools"), param)
    tools = require_list(allowed.get("tools"), f"{param}.tools")
    names = frozenset(_name_in(tool, offered, f"{param}.tools[{index}]") for index, tool in enumerate(tools))
    return _from_mode(allowed.get("mode", "auto"), names, f"{param}.mode")


def _from_mode(mode: Any, names: frozenset[str], param: str) -> ToolChoice:
    if mode not in _MODES:
        raise InvalidRequestError(f"{param} must be one of {', '.join(_MODES)}.", param=param)
    if mode == "required" and not names:
        raise InvalidRequestError(f"{param} is required, and there is no tool to call.", param=param)
    return ToolChoice(frozenset() if mode == "none" else names, is_required=mode == "required")


def _name_in(tool: Any, offered: Collection[str], param: str) -> str:
    fields = require_object(tool, param)
    if fields.get("type") == PYTHON:
        param, name = f"{param}.type", PYTHON
    else:
        function = require_object(fields.get("function"), f"{param}.function")
        param, name = f"{param}.function.name", require_text(function.get("name"), f"{param}.function.name")
    if name not in offered:
        raise InvalidRequestError(f"{param} must be the name of one of the tools.", param=param)
    return name
