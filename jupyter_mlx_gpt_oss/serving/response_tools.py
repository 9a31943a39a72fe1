"""A response's tools, tool choice and text format to those of chat completions.

Source: OpenAI's API reference for responses, "Create a model response".
"""

from collections.abc import Mapping, Sequence
from typing import Any

from jupyter_mlx_gpt_oss.errors import UnsupportedFeatureError
from jupyter_mlx_gpt_oss.harmony.fields import require_list, require_name, require_object, require_text

JsonObject = dict[str, Any]
OTHER_TOOLS = frozenset({
    "apply_patch",
    "code_interpreter",
    "computer",
    "computer_use_preview",
    "custom",
    "file_search",
    "image_generation",
    "local_shell",
    "mcp",
    "namespace",
    "programmatic_tool_calling",
    "shell",
    "tool_search",
    "web_search",
    "web_search_2025_08_26",
    "web_search_preview",
    "web_search_preview_2025_03_11",
})  # fmt: skip
"""OpenAI's tools that are not served; the log names these, and no text of a client's."""


def chat_tools(tools: Sequence[Mapping[str, Any]]) -> tuple[list[JsonObject], list[str]]:
    """Return the tools that are served, as those of chat completions, and the kinds of the others.

    Raises:
        InvalidRequestError: a function without a name, or a tool without a type.
    """
    served: list[JsonObject] = []
    others: list[str] = []
    for index, tool in enumerate(tools):
        param = f"tools[{index}]"
        kind = require_text(tool.get("type"), f"{param}.type")
        if kind == "function":
            require_name(tool.get("name"), f"{param}.name")
            function = {
                key: tool[key] for key in ("name", "description", "parameters", "strict") if key in tool
            }
            served.append({"type": "function", "function": function})
        elif kind == "python":
            served.append({"type": "python"})
        else:
            others.append(kind)
    return served, others


def chat_tool_choice(choice: str | Mapping[str, Any] | None) -> str | JsonObject:
    """Return `tool_choice` as that of chat completions.

    Raises:
        InvalidRequestError: a wrong shape.
        UnsupportedFeatureError: a tool that is not served must be called.
    """
    if choice is None or isinstance(choice, str):
        return "auto" if choice is None else choice
    match choice.get("type"):
        case "function" | "python":
            return _named(choice, "tool_choice")
        case "allowed_tools":
            tools = require_list(choice.get("tools"), "tool_choice.tools")
            named = [
                _named(require_object(tool, f"tool_choice.tools[{index}]"), f"tool_choice.tools[{index}]")
                for index, tool in enumerate(tools)
                if not isinstance(tool, Mapping) or tool.get("type", "function") in ("function", "python")
            ]
            allowed = {"mode": choice.get("mode", "auto"), "tools": named}
            return {"type": "allowed_tools", "allowed_tools": allowed}
        case _:
            message = "`tool_choice` may be auto, none, required, a function, python or allowed_tools."
            raise UnsupportedFeatureError(message, param="tool_choice")


def chat_response_format(text_format: Mapping[str, Any] | None) -> JsonObject | None:
    """Return `text.format` as the `response_format` of chat completions."""
    if text_format is None or text_format.get("type") != "json_schema":
        return dict(text_format) if text_format is not None else None
    schema = {key: value for key, value in text_format.items() if key != "type"}
    return {"type": "json_schema", "json_schema": schema}


def _named(choice: Mapping[str, Any], param: str) -> JsonObject:
    if choice.get("type") == "python":
        return {"type": "python"}
    return {
        "type": "function",
        "function": {"name": require_text(choice.get("name"), f"{param}.name")},
    }
