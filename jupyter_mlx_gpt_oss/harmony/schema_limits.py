"""The bounds within which the schemas of a request are compiled: what takes llguidance long, or kills it, is refused.

Which keywords can be held to is not decided here; the compiler says so. Source: measured on llguidance 1.9.1, see
docs/constraints.md.
"""

import json
import math
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from jupyter_mlx_gpt_oss.errors import InvalidRequestError
from jupyter_mlx_gpt_oss.harmony.fields import require_json

MAX_TOOLS = 128
"""Of a request, as OpenAI has it. Each is a rule of the turn's grammar: 2,500 take 4 s to compile."""
MAX_CHARS = 100_000
"""Of all schemas of a request together, written as JSON."""
MAX_PATTERN_PROPERTIES = 50
"""Of all schemas together: each is compared with each other one."""
MAX_REFERENCED_LEVELS = 1_000
"""Different `$ref` times levels of nesting, of one schema: the compiler recurses along both and has one stack."""
MAX_MULTIPLE = 10_000
"""Least common multiple of the digits of all `multipleOf`: the automaton that checks them has as many states."""


class SchemaLimits:
    """Count what the schemas of one request ask for."""

    def __init__(self) -> None:
        self._num_chars = 0
        self._num_pattern_properties = 0
        self._multiple = 1

    def add(self, schema: Mapping[str, Any], param: str) -> None:
        """Count one more schema.

        Args:
            schema: a JSON schema.
            param: its path, for errors.

        Raises:
            InvalidRequestError: not JSON, or more than the limits allow; names the path and the keyword.
        """
        require_json(schema, param)
        levels = list(_levels(schema))
        nodes = [node for level in levels for node in level if isinstance(node, Mapping)]
        references = {str(node["$ref"]) for node in nodes if "$ref" in node}
        self._num_chars += len(json.dumps(schema))
        _require(
            self._num_chars <= MAX_CHARS, param, f"the schemas have more than {MAX_CHARS} characters together"
        )
        self._num_pattern_properties += sum(_num_patterns(node) for node in nodes)
        self._multiple = math.lcm(self._multiple, *(_digits(node) for node in nodes))
        _require(
            self._num_pattern_properties <= MAX_PATTERN_PROPERTIES,
            param,
            f"there are more than {MAX_PATTERN_PROPERTIES} patternProperties",
        )
        _require(self._multiple <= MAX_MULTIPLE, param, "multipleOf has too many digits")
        _require(len(references) * len(levels) <= MAX_REFERENCED_LEVELS, param, "$ref leads too deep")


def _levels(schema: Mapping[str, Any]) -> Iterator[list[Any]]:
    level: list[Any] = [schema]
    while level:
        yield level
        level = [child for node in level for child in _children(node)]


def _children(node: Any) -> list[Any]:
    if isinstance(node, Mapping):
        return list(node.values())
    return list(node) if isinstance(node, list | tuple) else []


def _num_patterns(node: Mapping[str, Any]) -> int:
    patterns = node.get("patternProperties")
    return len(patterns) if isinstance(patterns, Mapping) else 0


def _digits(node: Mapping[str, Any]) -> int:
    """Return a node's `multipleOf` as the integer that its digits make, without zeros at the end."""
    multiple = node.get("multipleOf")
    if isinstance(multiple, bool) or not isinstance(multiple, int | float) or not multiple:
        return 1
    digits = "".join(map(str, Decimal(str(multiple)).as_tuple().digits)).rstrip("0")
    return int(digits)


def _require(is_within: bool, param: str, excess: str) -> None:
    if not is_within:
        raise InvalidRequestError(f"{param} is too large to be held to: {excess}.", param=param)
