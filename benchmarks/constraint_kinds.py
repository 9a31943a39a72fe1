"""What an answer may be held to: the fields that ask for it, and a judge that knows nothing of the grammar.

Used by `benchmarks/constraint_validity.py` and its short form in the tests.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jsonschema

from jupyter_mlx_gpt_oss.protocol.chat_answers import Choice
from jupyter_mlx_gpt_oss.vocabulary import SPECIAL_TOKENS, token_bytes

Fields = dict[str, Any]

_NODE = {
    "type": "object",
    "properties": {
        "value": {"type": "integer", "minimum": 0, "maximum": 9},
        "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
    },
    "required": ["value", "next"],
    "additionalProperties": False,
}
_SCHEMAS: tuple[Fields, ...] = (
    {
        "type": "object",
        "properties": {
            "city": {"type": "string", "maxLength": 12},
            "unit": {"enum": ["celsius", "fahrenheit", None]},
            "days": {"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": 3},
        },
        "required": ["city", "unit"],
        "additionalProperties": False,
    },
    {"$defs": {"node": _NODE}, "type": "object", "properties": {"list": {"$ref": "#/$defs/node"}}, "required": ["list"],
     "additionalProperties": False},
    {
        "type": "object",
        "properties": {
            "kind": {"const": "order"},
            "code": {"type": "string", "pattern": "^[A-Z]{2}-[0-9]{1,4}$"},
            "when": {"type": "string", "format": "date"},
            "note": {"type": ["string", "null"], "maxLength": 8},
        },
        "required": ["kind", "code", "when", "note"],
        "additionalProperties": False,
    },
    {
        "type": "object",
        "properties": {
            "shape": {
                "anyOf": [
                    {"type": "object", "properties": {"r": {"type": "number"}}, "required": ["r"],
                     "additionalProperties": False},
                    {"type": "object", "properties": {"w": {"type": "integer"}, "h": {"type": "boolean"}},
                     "required": ["w", "h"], "additionalProperties": False},
                ]
            }
        },
        "required": ["shape"],
        "additionalProperties": False,
    },
)  # fmt: skip
_FREE = {"type": "object", "properties": {"q": {"type": "string"}}}


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of constraint."""

    name: str
    fields: Callable[[int], Fields]
    """Of a chat completion's request, by its seed."""
    fault: Callable[[Fields, Choice], str | None]
    """Says what is wrong with a whole answer to such a request; None: nothing."""


def _function(name: str, schema: Fields | None, *, strict: bool = False) -> Fields:
    return {"type": "function", "function": {"name": name, "parameters": schema, "strict": strict}}


def _schema(seed: int) -> Fields:
    return _SCHEMAS[seed // 2 % len(_SCHEMAS)]


def _tools(seed: int) -> list[Fields]:
    return [
        _function("find", _FREE),
        _function("get_weather", _schema(seed), strict=True),
        _function("now", None),
    ]


def _named(name: str) -> Fields:
    return {"type": "function", "function": {"name": name}}


def _allowed(mode: str) -> Fields:
    tools = [_named("find"), _named("now")]
    return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": tools}}


def _json_schema(seed: int) -> Fields:
    return {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": _schema(seed)}}


def _call_fault(*allowed: str, is_required: bool = True) -> Callable[[Fields, Choice], str | None]:
    def fault(body: Fields, choice: Choice) -> str | None:
        calls = choice.message.tool_calls or []
        if choice.finish_reason != ("tool_calls" if calls else "stop") or len(calls) > 1:
            return f"ended with {choice.finish_reason} and {len(calls)} calls"
        if not calls:
            return "has no call" if is_required else None
        function = calls[0].function
        if function.name not in allowed:
            return f"calls {function.name}"
        schemas = {
            tool["function"]["name"]: tool["function"]["parameters"]
            for tool in body["tools"]
            if tool["function"]["strict"]
        }
        return _json_fault(function.arguments, schemas.get(function.name, {"type": "object"}))

    return fault


def _answer_fault(body: Fields, choice: Choice) -> str | None:
    if choice.finish_reason != "stop" or choice.message.tool_calls:
        return f"ended with {choice.finish_reason}"
    schema = body["response_format"].get("json_schema", {}).get("schema", {"type": "object"})
    return _json_fault(choice.message.content or "", schema)


def _json_fault(text: str, schema: Fields) -> str | None:
    try:
        value = json.loads(text)
        jsonschema.validate(value, schema, format_checker=jsonschema.FormatChecker())
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, jsonschema.ValidationError) as error:
        return type(error).__name__
    return None


_ALL = ("find", "get_weather", "now")
KINDS = {
    kind.name: kind
    for kind in (
        Kind("required", lambda seed: {"tools": _tools(seed), "tool_choice": "required"}, _call_fault(*_ALL)),
        Kind(
            "named function",
            lambda seed: {"tools": _tools(seed), "tool_choice": _named("find")},
            _call_fault("find"),
        ),
        Kind(
            "allowed_tools",
            lambda seed: {"tools": _tools(seed), "tool_choice": _allowed("required")},
            _call_fault("find", "now"),
        ),
        Kind(
            "allowed_tools auto",
            lambda seed: {"tools": _tools(seed), "tool_choice": _allowed("auto")},
            _call_fault("find", "now", is_required=False),
        ),
        Kind(
            "strict",
            lambda seed: {"tools": _tools(seed), "tool_choice": _named("get_weather")},
            _call_fault("get_weather"),
        ),
        Kind("json_object", lambda _: {"response_format": {"type": "json_object"}}, _answer_fault),
        Kind("json_schema", lambda seed: {"response_format": _json_schema(seed)}, _answer_fault),
        Kind("tools offered", lambda seed: {"tools": _tools(seed)}, _call_fault(*_ALL, is_required=False)),
    )
}

# A control token is one character of a private area here, and a byte of text the character of its number, so that text
# which spells a control token is told from it.
_AREA = 0xE000
_NAMES = {name.strip("<|>"): chr(_AREA + index) for index, name in enumerate(SPECIAL_TOKENS)}
_BY_ID = {token_id: chr(_AREA + index) for index, token_id in enumerate(SPECIAL_TOKENS.values())}
_WORDS = {
    **{name.upper(): char for name, char in _NAMES.items()},
    "TEXT": r"[\x00-\xff]*",
    "CALLED": r"\ to=functions\.[\w-]+",
    "TYPE": r"(?:\ json|\ code|\ ?CONSTRAIN json)?",
}
_FORMS = r"""
    (?: CHANNEL (?:analysis|commentary) MESSAGE TEXT END START assistant)*
    (?: CHANNEL final TYPE MESSAGE TEXT (?:RETURN|END)
      | CHANNEL (?:commentary|analysis) CALLED TYPE MESSAGE TEXT CALL
      | CALLED CHANNEL (?:commentary|analysis) TYPE MESSAGE TEXT CALL)
    ENDOFTEXT?
"""


def _turn() -> re.Pattern[str]:
    """Return what a whole turn looks like; it may have been drawn one token too far."""
    forms = _FORMS
    for _ in range(2):  # what stands for a word may hold another
        forms = re.sub(r"[A-Z]+", lambda word: _WORDS.get(word[0], word[0]), forms)
    return re.compile(forms, re.VERBOSE)


_TURN = _turn()


def fault_in_turn(token_ids: list[int]) -> str | None:
    """Say what is wrong with the form of a whole turn, from behind the prompt's `<|start|>assistant`; None: nothing."""
    table = token_bytes()
    characters = []
    for token_id in token_ids:
        if token_id in _BY_ID:
            characters.append(_BY_ID[token_id])
        elif token_id >= len(table) or not table[token_id]:
            return f"has the token {token_id}, which is no text"
        else:
            characters.append(table[token_id].decode("latin-1"))
    if _TURN.fullmatch("".join(characters)):
        return None
    return "is no turn: " + "".join(characters).translate(
        {ord(char): f"<|{name}|>" for name, char in _NAMES.items()}
    )
