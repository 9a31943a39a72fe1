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
from training.words import Draw, encode, own_words

_TYPED_NAMES = ("amount", "count", "size", "level", "limit", "price", "active", "verbose", "urgent", "mode")
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
    """Return nouns that can follow `get_`; some forty of them are kept for the evaluation."""
    ranks = token_ranks()
    words = [
        token[1:].decode()
        for token in ranks
        if re.fullmatch(rb"_[a-z]{3,10}", token) and b" " + token[1:] in ranks
    ]
    steady = sorted(
        word
        for word in words
        if _copies(" ", "_", word) and all(_copies(" ", ".", f"{verb}_{word}") for verb in ("get", "find"))
    )
    random.Random(3).shuffle(steady)
    # From a fixed share, as the held-out words (`words.py`).
    held_out = [word for word in steady[:60] if word not in own_words()]
    return tuple(held_out if is_held_out else sorted(set(steady) - set(held_out)))


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


def _parameter_name(draw: Draw, *usual: str) -> str:
    """Return one of the `usual` names, or any word, so that it has to be looked up."""
    return draw.identifier() if draw.chance(0.15) else draw.pick(*usual)


def _description(draw: Draw, *telling: str) -> str:
    """Return one of the `telling` descriptions, or one that tells nothing, so that a tool has to be known by its name."""
    if draw.chance(0.45):
        return draw.pick(*telling)
    return draw.pick(
        "", "Look it up.", "Ask the server.", "Returns a value.", f"{draw.phrase(draw.random.randint(1, 6))}."
    )


_TITLED = 0.25  # of schemas, as pydantic and the libraries on it write them


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
    if draw.chance(_TITLED):
        properties = {key: {"title": key.capitalize(), **declared} for key, declared in properties.items()}
    schema: dict[str, Any] = {"type": "object", "properties": properties}
    if draw.chance(0.9):
        schema["required"] = list(properties) if required is None else required
    if draw.chance(0.2):
        schema["additionalProperties"] = False
    return schema


def lookup(draw: Draw) -> Declaration:
    """Declare a function of one string, such as `get_price(item)`."""
    noun, parameter = draw_noun(draw), _parameter_name(draw, *PARAMETER_NAMES)
    description = _description(
        draw, f"Gets the {noun} of a {parameter}.", f"Returns the {noun} for the {parameter}.", f"Look up the {noun}.",
        f"{noun.capitalize()} lookup", f"Get {noun} by {parameter}", f"Return the {noun}.",
        f"{noun.capitalize()} of {draw.phrase(4)}",
    )  # fmt: skip
    declared: dict[str, Any] = {"type": "string"}
    if draw.chance(0.4):
        declared["description"] = draw.pick(f"The {parameter}", f"{parameter} to look up", "Argument")
    tool = Tool(_function_name(draw, noun), description, object_schema(draw, {parameter: declared}))
    return Declaration(tool, noun, (parameter,))


def weather(draw: Draw) -> Declaration:
    """Declare a weather function, sometimes with an optional unit."""
    parameter = _parameter_name(draw, "city", "city", "location", "location", "place")
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


def arithmetic(draw: Draw) -> Declaration:
    """Declare a function of two numbers."""
    chosen = draw.random.choice(OPERATIONS)
    kind = draw.pick("number", "integer", "integer")
    first, second = draw.random.choice([("a", "b"), ("a", "b"), ("x", "y")])
    schema = object_schema(draw, {first: {"type": kind}, second: {"type": kind}})
    return Declaration(Tool(chosen.name, chosen.description, schema), chosen.name, (first, second))


def parameterless(draw: Draw) -> Declaration:
    """Declare a function without parameters."""
    noun = draw.pick("time", "date", draw_noun(draw), draw_noun(draw))
    description = _description(
        draw, f"Return the {noun}.", f"Get the current {noun}.", f"Current {noun}", f"Returns the {noun}"
    )
    return Declaration(Tool(_function_name(draw, noun), description, None), noun)


def typed(draw: Draw) -> Declaration:
    """Declare a function of two or three parameters of different types."""
    names = draw.random.sample(PARAMETER_NAMES + _TYPED_NAMES, draw.random.choice([2, 2, 2, 3]))
    kinds = [draw.pick("string", "string", "integer", "number", "boolean") for _ in names]
    noun = draw_noun(draw)
    properties = {name: {"type": kind} for name, kind in zip(names, kinds, strict=True)}
    description = _description(draw, f"Find the {noun}.", f"Compute the {noun}.", f"{noun.capitalize()}.")
    tool = Tool(_function_name(draw, noun), description, object_schema(draw, properties))
    return Declaration(tool, noun, tuple(names))


@dataclass(frozen=True, slots=True)
class _Everyday:
    """A function of everyday life, and a question that holds its arguments in prose."""

    name: str
    properties: dict[str, str]
    question: str


_EVERYDAY = (
    _Everyday("book_table", {"city": "string", "guests": "integer"}, "Book a table in {city} for {guests} people."),
    _Everyday("send_message", {"name": "string", "text": "string"}, "Send a message to {name}: {text}"),
    _Everyday("repeat", {"text": "string", "times": "integer"}, "Repeat {text} {times} times."),
    _Everyday("greet", {"name": "string", "formal": "boolean"}, "Greet {name} {formal}."),
)  # fmt: skip


def everyday(draw: Draw) -> Declaration:
    """Declare a function of everyday life."""
    chosen = draw.random.choice(_EVERYDAY)
    schema = object_schema(draw, {key: {"type": kind} for key, kind in chosen.properties.items()})
    tool = Tool(chosen.name, f"{chosen.name.replace('_', ' ').capitalize()}.", schema)
    return Declaration(tool, "result", tuple(chosen.properties))


def arguments_for(draw: Draw, declared: Declaration) -> tuple[dict[str, Any], str]:
    """Return arguments for a function of several parameters, and a question in prose, or `""` if any will do."""
    assert declared.tool.parameters is not None
    kinds = {key: schema["type"] for key, schema in declared.tool.parameters["properties"].items()}
    case = next((case for case in _EVERYDAY if case.name == declared.tool.name), None)
    if case is None:
        return {key: _argument(draw, kind) for key, kind in kinds.items()}, ""
    arguments = {key: _everyday_argument(draw, key) for key in kinds}
    words = {**arguments, "formal": "formally" if arguments.get("formal") else "informally"}
    return arguments, case.question.format(**words)


def _everyday_argument(draw: Draw, key: str) -> str | int | bool:
    if key == "city":
        return draw.city()
    if key == "name":
        return draw.name()
    if key == "text":
        return draw.phrase()
    return draw.chance(0.5) if key == "formal" else draw.random.randint(1, 20)


def _argument(draw: Draw, kind: str) -> str | int | float | bool:
    if kind == "boolean":
        return draw.chance(0.5)
    if kind == "integer":
        return draw.number()
    if kind == "number":
        return draw.number() if draw.chance(0.4) else round(draw.number() + draw.random.randint(1, 9) / 10, 1)
    return draw.random.choice([draw.name, draw.city, draw.rare_word])()


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
