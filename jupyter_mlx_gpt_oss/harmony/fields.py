"""Typed access to the fields of OpenAI's JSON: whatever has the wrong shape is an InvalidRequestError with its path.

Knows no messages and no tools.
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from jupyter_mlx_gpt_oss.errors import InvalidRequestError

MAX_JSON_DEPTH = 100
_MAX_INTEGER_BITS = 4096  # Python refuses to print integers of more than 4,300 digits
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")  # OpenAI API reference, function names


def require_object(value: Any, param: str) -> Mapping[str, Any]:
    """Return the value if it is a JSON object."""
    if isinstance(value, Mapping):
        return value
    raise InvalidRequestError(f"{param} must be an object, not {_kind(value)}.", param=param)


def require_list(value: Any, param: str) -> Sequence[Any]:
    """Return the value if it is a JSON array."""
    if isinstance(value, list | tuple):
        return value
    raise InvalidRequestError(f"{param} must be an array, not {_kind(value)}.", param=param)


def require_text(value: Any, param: str) -> str:
    """Return the value if it is a string."""
    if isinstance(value, str):
        return value
    raise InvalidRequestError(f"{param} must be a string, not {_kind(value)}.", param=param)


def require_name(value: Any, param: str) -> str:
    """Return the value if it can name a function."""
    name = require_text(value, param)
    if _NAME.fullmatch(name):
        return name
    raise InvalidRequestError(
        f"{param} must be 1 to 64 letters, digits, underscores and hyphens.", param=param
    )


def optional_text(fields: Mapping[str, Any], key: str, param: str) -> str:
    """Return the string of a field, empty if the field is missing or null."""
    value = fields.get(key)
    return "" if value is None else require_text(value, f"{param}.{key}")


def require_json(value: Any, param: str) -> None:
    """Check that the value is JSON, of finite numbers and at most MAX_JSON_DEPTH levels deep."""
    level = [value]
    for _ in range(MAX_JSON_DEPTH):
        level = [child for node in level for child in _children(node, param)]
        if not level:
            return
    raise InvalidRequestError(f"{param} is nested more than {MAX_JSON_DEPTH} levels deep.", param=param)


def _children(node: Any, param: str) -> list[Any]:
    if isinstance(node, Mapping):
        for key in node:
            require_text(key, param)
        return list(node.values())
    if isinstance(node, list | tuple):
        return list(node)
    if node is None or isinstance(node, str) or _is_number(node):
        return []
    raise InvalidRequestError(f"{param} holds a value that is not JSON.", param=param)


def _is_number(node: Any) -> bool:
    if isinstance(node, int):
        return node.bit_length() <= _MAX_INTEGER_BITS
    return isinstance(node, float) and math.isfinite(node)


def _kind(value: Any) -> str:
    return "null" if value is None else type(value).__name__
