"""A response's tools, tool choice and text format to those of chat completions.

Source: OpenAI's API reference for responses, "Create a model response".
"""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from jupyter_mlx_gpt_oss.errors import UnsupportedFeatureError
from jupyter_mlx_gpt_oss.harmony.fields import (
    optional_text,
    require_list,
    require_name,
    require_object,
    require_text,
)

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
    "programmatic_tool_calling",
    "shell",
    "tool_search",
    "web_search",
    "web_search_2025_08_26",
    "web_search_preview",
    "web_search_preview_2025_03_11",
})  # fmt: skip
"""OpenAI's tools that are not served; the log names these, and no text of a client's."""


_MAX_NAME_CHARS = 64
_HASH_CHARS = 8


@dataclass(frozen=True, slots=True)
class ServedTools:
    """The tools that are served, as those of chat completions.

    Attributes:
        tools: as chat completions take them.
        places: where each stands in the request.
        namespaced: namespace and name of the functions that have one, by the names that the model reads.
        others: the kinds of the tools that are not served.
    """

    tools: list[JsonObject] = field(default_factory=list)
    places: list[str] = field(default_factory=list)
    namespaced: dict[str, tuple[str, str]] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)

    def in_own_places(self, text: str) -> str:
        """Return a text about `tools[i]` of the chat completion as one about the request's own tools."""
        places = {f"tools[{index}]": place for index, place in enumerate(self.places)}
        return re.sub(r"(?<![\w.])tools\[\d+\]", lambda found: places.get(found[0], found[0]), text)


def chat_tools(tools: Sequence[Mapping[str, Any]]) -> ServedTools:
    """Return the tools that are served.

    Raises:
        InvalidRequestError: a function or a namespace without a name, or a tool without a type.
    """
    served = ServedTools()
    for namespace, tool, param in _flat(tools):
        kind = require_text(tool.get("type"), f"{param}.type")
        if kind == "function":
            name = require_name(tool.get("name"), f"{param}.name")
            function = {
                key: tool[key] for key in ("name", "description", "parameters", "strict") if key in tool
            }
            if namespace:
                function["name"] = name_within(namespace, name)
                served.namespaced[function["name"]] = (namespace, name)
            served.tools.append({"type": "function", "function": function})
        elif kind == "python":
            served.tools.append({"type": "python"})
        else:
            served.others.append(kind)
            continue
        served.places.append(param)
    return served


def _flat(tools: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, Mapping[str, Any], str]]:
    """Yield each tool with its namespace, or none, and its place."""
    for index, tool in enumerate(tools):
        param = f"tools[{index}]"
        if tool.get("type") != "namespace":
            yield "", tool, param
            continue
        namespace = require_text(tool.get("name"), f"{param}.name")
        for inner_index, inner in enumerate(require_list(tool.get("tools"), f"{param}.tools")):
            place = f"{param}.tools[{inner_index}]"
            yield namespace, require_object(inner, place), place


def name_within(namespace: str, name: str) -> str:
    """Return the name by which the model reads a function of a namespace, in the form that names have."""
    joined = re.sub(r"[^a-zA-Z0-9_-]", "_", f"{namespace.removesuffix('__')}__{name}")
    if len(joined) <= _MAX_NAME_CHARS:
        return joined
    mark = hashlib.sha256(joined.encode()).hexdigest()[:_HASH_CHARS]
    return f"{joined[: _MAX_NAME_CHARS - _HASH_CHARS - 1]}_{mark}"


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
    name = require_text(choice.get("name"), f"{param}.name")
    if namespace := optional_text(choice, "namespace", param):
        name = name_within(namespace, name)
    return {"type": "function", "function": {"name": name}}
