"""Declared functions of the corpus: names, parameters and schemas, and what their results look like."""

import json
import random
import re
from dataclasses import dataclass
from functools import cache
from typing import Any

from jupyter_mlx_gpt_oss.demo.codes import base_token_ids
from jupyter_mlx_gpt_oss.vocabulary import token_ranks
from training.conversation import Tool
from training.words import Draw, encode

_VERBS = ("get", "find", "search", "query", "fetch", "load", "read", "check", "show", "list", "lookup")
_COMMON_NOUNS = (
    "price", "population", "address", "status", "color", "size", "phone", "score", "rating", "capital", "email",
    "balance", "stock", "language", "version", "category", "location", "owner", "schedule", "title", "profile",
)  # fmt: skip
PARAMETER_NAMES = (
    "city", "location", "name", "query", "text", "symbol", "title", "country", "product", "word", "item", "id", "user",
    "key", "place", "topic",
)  # fmt: skip


def compact_json(value: object) -> str:
    """Return `value` as JSON without spaces, as the model writes arguments."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _copies(before: str, after: str, word: str) -> bool:
    """Tell whether `word` has the same base tokens after either prefix."""
    base_ids = base_token_ids()
    return [base_ids[i] for i in encode(before + word)] == [base_ids[i] for i in encode(after + word)]


@cache
def _verbs() -> tuple[str, ...]:
    return tuple(verb for verb in _VERBS if len(encode(f".{verb}")) == 1 and _copies(" ", ".", verb))


@cache
def nouns(*, is_held_out: bool) -> tuple[str, ...]:
    """Return nouns that can follow `get_`; forty of them are kept for the evaluation."""
    ranks = token_ranks()
    words = [
        token[1:].decode()
        for token in ranks
        if re.fullmatch(rb"_[a-z]{3,10}", token) and b" " + token[1:] in ranks
    ]
    steady = sorted(
        word for word in words if all(_copies(" ", ".", f"{verb}_{word}") for verb in ("get", "find"))
    )
    random.Random(3).shuffle(steady)
    return tuple(steady[:40] if is_held_out else steady[40:])


def draw_noun(draw: Draw) -> str:
    """Return a noun for a tool's name."""
    pool = nouns(is_held_out=draw.is_held_out)
    common = [noun for noun in _COMMON_NOUNS if noun in pool]
    return draw.random.choice(common if common and draw.chance(0.35) else pool)


def _function_name(draw: Draw, noun: str) -> str:
    """Return a name that ends in `noun`; its verb may be any word, so that it has to be looked up."""
    if draw.chance(0.3):
        word = draw.rare_word().lower()
        if len(encode(f".{word}")) == 1 and _copies(" ", ".", f"{word}_{noun}"):
            return f"{word}_{noun}"
    return f"{draw.pick(*_verbs())}_{noun}"


@dataclass(frozen=True, slots=True)
class Declaration:
    """A tool with what questions about it need: its noun and the names of its parameters."""

    tool: Tool
    noun: str
    parameters: tuple[str, ...] = ()


def object_schema(
    draw: Draw, properties: dict[str, dict[str, Any]], required: list[str] | None = None
) -> dict[str, Any]:
    """Return a schema as function libraries write them: with or without `required`."""
    schema: dict[str, Any] = {"type": "object", "properties": properties}
    if draw.chance(0.9):
        schema["required"] = list(properties) if required is None else required
    if draw.chance(0.2):
        schema["additionalProperties"] = False
    return schema


def lookup(draw: Draw) -> Declaration:
    """Declare a function of one string, such as `get_price(item)`."""
    noun, parameter = draw_noun(draw), draw.pick(*PARAMETER_NAMES)
    description = draw.pick(
        f"Gets the {noun} of a {parameter}.", f"Returns the {noun} for the {parameter}.", f"Look up the {noun}.",
        f"{noun.capitalize()} lookup", f"Get {noun} by {parameter}", f"Return the {noun}.",
        f"{noun.capitalize()} of {draw.phrase(4)}", "",
    )  # fmt: skip
    declared: dict[str, Any] = {"type": "string"}
    if draw.chance(0.4):
        declared["description"] = draw.pick(f"The {parameter}", f"{parameter} to look up", "Argument")
    tool = Tool(_function_name(draw, noun), description, object_schema(draw, {parameter: declared}))
    return Declaration(tool, noun, (parameter,))


def weather(draw: Draw) -> Declaration:
    """Declare a weather function, sometimes with an optional unit."""
    parameter = draw.pick("city", "city", "location")
    declared: dict[str, Any] = {"type": "string"}
    if draw.chance(0.4):
        declared["description"] = draw.pick(
            "City name", "The city", "the name of the city", "The city and state, e.g. San Francisco, CA"
        )
    properties = {parameter: declared}
    if draw.chance(0.25):
        properties[draw.pick("unit", "format", "units")] = draw.random.choice(
            [{"type": "string", "enum": ["celsius", "fahrenheit"]}, {"type": "string", "default": "celsius"}]
        )
    description = draw.pick(
        "Get the weather for a city.", "Gets the current weather", "Get current weather", "Return the weather of a city.",
        "Weather lookup", "Get the current weather in a given location", "Return the weather.",
        "Say the weather in a city.", "", f"{draw.phrase(5)} weather",
    )  # fmt: skip
    name = draw.pick("get_weather", "get_weather", "get_weather", "get_current_weather", "weather")
    return Declaration(
        Tool(name, description, object_schema(draw, properties, [parameter])), "weather", (parameter,)
    )


@dataclass(frozen=True, slots=True)
class Operation:
    """An arithmetic function and the words for it."""

    name: str
    sign: str
    word: str
    noun: str
    description: str

    def apply(self, a: int, b: int) -> int:
        """Return the operation's result."""
        return a + b if self.sign == "+" else a * b if self.sign == "*" else a - b


OPERATIONS = (
    Operation("add", "+", "plus", "sum", "Add two numbers."),
    Operation("add", "+", "plus", "sum", "Adds two numbers."),
    Operation("multiply", "*", "times", "product", "Multiply two numbers."),
    Operation("subtract", "-", "minus", "difference", "Subtract two numbers."),
)


def arithmetic(draw: Draw, operation: Operation | None = None) -> Declaration:
    """Declare a function of two numbers."""
    chosen = operation or draw.random.choice(OPERATIONS)
    kind = draw.pick("number", "integer", "integer")
    first, second = draw.random.choice([("a", "b"), ("a", "b"), ("x", "y")])
    schema = object_schema(draw, {first: {"type": kind}, second: {"type": kind}})
    return Declaration(Tool(chosen.name, chosen.description, schema), chosen.name, (first, second))


def parameterless(draw: Draw) -> Declaration:
    """Declare a function without parameters."""
    noun = draw.pick("time", "date", draw_noun(draw), draw_noun(draw))
    description = draw.pick(
        f"Return the {noun}.", f"Get the current {noun}.", f"Current {noun}", f"Returns the {noun}"
    )
    return Declaration(Tool(_function_name(draw, noun), description, None), noun)


def typed(draw: Draw) -> tuple[Declaration, dict[str, Any]]:
    """Declare a function of two or three parameters of different types, and return arguments for it."""
    count = draw.random.choice([2, 2, 3])
    pool = (
        *PARAMETER_NAMES,
        "amount",
        "count",
        "size",
        "level",
        "limit",
        "price",
        "active",
        "verbose",
        "urgent",
        "mode",
    )
    names = draw.random.sample(pool, count)
    kinds = [draw.pick("string", "string", "integer", "number", "boolean") for _ in names]
    arguments = {name: _argument(draw, kind) for name, kind in zip(names, kinds, strict=True)}
    noun = draw_noun(draw)
    properties = {name: {"type": kind} for name, kind in zip(names, kinds, strict=True)}
    name = _function_name(draw, noun)
    tool = Tool(
        name,
        draw.pick(f"Find the {noun}.", f"Compute the {noun}.", f"{noun.capitalize()}."),
        object_schema(draw, properties),
    )
    return Declaration(tool, noun, tuple(names)), arguments


def everyday(draw: Draw) -> tuple[Declaration, dict[str, Any], str]:
    """Declare a function of everyday life, and return arguments for it and a question that holds them in prose."""
    city, name, text, number = draw.city(), draw.name(), draw.phrase(), draw.random.randint(1, 20)
    cases: list[tuple[str, dict[str, str], dict[str, Any], str]] = [
        (
            "book_table",
            {"city": "string", "guests": "integer"},
            {"city": city, "guests": number},
            f"Book a table in {city} for {number} people.",
        ),
        (
            "send_message",
            {"name": "string", "text": "string"},
            {"name": name, "text": text},
            f"Send a message to {name}: {text}",
        ),
        (
            "repeat",
            {"text": "string", "times": "integer"},
            {"text": text, "times": number},
            f"Repeat {text} {number} times.",
        ),
        (
            "greet",
            {"name": "string", "formal": "boolean"},
            {"name": name, "formal": number > 10},
            f"Greet {name} {'formally' if number > 10 else 'informally'}.",
        ),
    ]
    tool_name, properties, arguments, question = draw.random.choice(cases)
    description = f"{tool_name.replace('_', ' ').capitalize()}."
    schema = object_schema(draw, {key: {"type": kind} for key, kind in properties.items()})
    return Declaration(Tool(tool_name, description, schema), "result", tuple(properties)), arguments, question


def _argument(draw: Draw, kind: str) -> str | int | float | bool:
    if kind == "boolean":
        return draw.chance(0.5)
    if kind == "integer":
        return draw.number()
    if kind == "number":
        return draw.number() if draw.chance(0.4) else round(draw.number() + draw.random.randint(1, 9) / 10, 1)
    return draw.random.choice([draw.name, draw.city, draw.rare_word])()


def _typed_alone(draw: Draw) -> Declaration:
    return typed(draw)[0]


def fillers(draw: Draw, count: int, *, avoid: frozenset[str] = frozenset()) -> list[Tool]:
    """Return tools that the question does not ask for; none is about a noun in `avoid`."""
    tools: list[Tool] = []
    for _ in range(count):
        make = draw.random.choice([lookup, lookup, arithmetic, weather, parameterless, _typed_alone])
        declared = make(draw)
        if declared.noun not in avoid:
            tools.append(declared.tool)
    return tools


def result_text(draw: Draw, noun: str, value: str | int) -> str:
    """Return a tool's result as servers and functions write it: plain, or JSON with this or that spacing."""
    kind = draw.random.random()
    if kind < 0.25:
        return compact_json({noun: value})
    if kind < 0.45:
        return compact_json({"result": value})
    if kind < 0.6:
        return json.dumps({draw.pick("result", noun, "value"): value}, ensure_ascii=False)
    if kind < 0.64:
        return json.dumps(str(value), ensure_ascii=False)  # some clients quote every result
    return f"{value}\n" if kind < 0.67 else str(value)
