"""The bounds within which a client's Lark grammar is compiled: what takes llguidance long, or kills it, is refused.

Whether the text is a grammar, the compiler says, and it bounds brackets and expressions by itself.
Source: measured on llguidance 1.9.1: a chain of 8,000 rules ends the process, terminals that double 16 times take seconds.
"""

import json
import re
from collections.abc import Mapping

from jupyter_mlx_gpt_oss.errors import InvalidRequestError
from jupyter_mlx_gpt_oss.harmony.schema_limits import SchemaLimits

MAX_CHARS = 100_000
"""Of a regular expression, of all choices together, of a grammar with the schemas in it."""
MAX_DEFINITIONS = 1_000
MAX_TERMINALS = 100
MAX_TERMINAL_SIZE = 10_000
"""Characters of a terminal once the terminals in it are written out and what is repeated is written again."""

_INLINE_SCHEMA = re.compile(r"%json\s*")
# Every part takes whatever follows it and gives nothing back, so that the time is linear.
_DEFINITION = re.compile(r"^[ \t]*[?!]?([A-Za-z_]\w*+)[^:\n\"/]*:((?:.|\n[ \t]*\|)*)", re.MULTILINE)
_LITERAL = re.compile(r'"(?:\\.|[^"\\\n])*"?|/(?:\\.|[^/\\\n])+/?')
_TERMINAL = re.compile(r"\b_?[A-Z][A-Z0-9_]*\b")
_REPEAT = re.compile(r"\{\s*(?:\d+\s*,\s*)?(\d+)\s*\}")


def require_short(text: str, param: str) -> None:
    """Hold a text to the limit; raises InvalidRequestError."""
    _require(len(text) <= MAX_CHARS, param, f"it has more than {MAX_CHARS} characters")


def check_grammar(grammar: str, param: str) -> None:
    """Hold a Lark grammar, and the schemas within it, to the limits.

    Raises:
        InvalidRequestError: beyond one of them; names the field.
    """
    require_short(grammar, param)
    definitions = dict(_DEFINITION.findall(grammar))
    _require(len(definitions) <= MAX_DEFINITIONS, param, f"it has more than {MAX_DEFINITIONS} definitions")
    terminals = {name: body for name, body in definitions.items() if _TERMINAL.fullmatch(name)}
    _require(len(terminals) <= MAX_TERMINALS, param, f"it has more than {MAX_TERMINALS} terminals")
    sizes: dict[str, int] = {}
    size = max((_size(name, terminals, sizes) for name in terminals), default=0)
    _require(size <= MAX_TERMINAL_SIZE, param, "its terminals are too large")
    limits = SchemaLimits()
    for match in _INLINE_SCHEMA.finditer(grammar):
        schema = _json_at(grammar, match.end())
        if isinstance(schema, Mapping):
            limits.add(schema, param)


def _size(name: str, terminals: Mapping[str, str], sizes: dict[str, int]) -> int:
    if name in sizes or name not in terminals:
        return sizes.get(name, 1)
    sizes[name] = MAX_TERMINAL_SIZE + 1  # a terminal within itself has no end
    body = _LITERAL.sub("", terminals[name])
    size = len(terminals[name]) + sum(_size(part, terminals, sizes) for part in _TERMINAL.findall(body))
    sizes[name] = size * max((int(count[:9]) for count in _REPEAT.findall(body)), default=1)
    return sizes[name]


def _json_at(text: str, position: int) -> object:
    try:
        return json.JSONDecoder().raw_decode(text, position)[0]
    except (ValueError, RecursionError):
        return None  # which the compiler refuses


def _require(is_within: bool, param: str, excess: str) -> None:
    if not is_within:
        raise InvalidRequestError(f"{param} is too large to be held to: {excess}.", param=param)
