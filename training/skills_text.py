"""Skills of writing: code, tables, short and long texts, JSON in a response format."""

import json
from typing import Any

from training.conversation import Effort, ResponseFormat, Turn, answer
from training.knowledge import CODE, TABLES, Entry
from training.reasoning import reason
from training.skills_chat import from_entry
from training.texts import LONG_TEXTS, TEXTS
from training.words import Draw

_NUMBER_KEYS = ("age", "price", "score", "count", "year", "level", "rating", "quantity")
_STRING_KEYS = ("name", "city", "color", "title", "country", "food", "job", "email", "category", "product")
_NOUNS = (
    "person",
    "answer",
    "result",
    "response",
    "output",
    "schema",
    "record",
    "item",
    "Person",
    "Answer",
    "product",
)


def code(draw: Draw, effort: Effort) -> tuple[Turn, ...]:
    """Write a small piece of code."""
    entry = draw.random.choice(CODE)
    final = f"Here is the code:\n\n```{entry.analysis}\n{entry.answer}\n```"
    return (Turn(draw.pick(*entry.questions), answer(reason(effort, "The user wants code."), final)),)


def table(draw: Draw, effort: Effort) -> tuple[Turn, ...]:
    """Write a markdown table, known by heart or of the user's words."""
    if draw.chance(0.4):
        return from_entry(draw, effort, draw.random.choice(TABLES))
    items = [draw.rare_word(capitalised=draw.chance(0.4)) for _ in range(draw.random.randint(2, 5))]
    listed = ", ".join(items[:-1]) + f" and {items[-1]}"
    user = draw.pick(
        f"Make a table of {listed}.", f"Show a table of {listed}.", f"Make a markdown table of {listed}."
    )
    rows = "".join(f"\n| {number} | {item} |" for number, item in enumerate(items, 1))
    final = f"| # | Item |\n|---|---|{rows}"
    return (Turn(user, answer(reason(effort, "A table of the user's items."), final)),)


def text(draw: Draw, effort: Effort) -> tuple[Turn, ...]:
    """Write a text of up to 200 tokens."""
    return _with_topic(draw, effort, draw.random.choice(TEXTS))


def long_text(draw: Draw, effort: Effort) -> tuple[Turn, ...]:
    """Write a text of more than 400 tokens."""
    return _with_topic(draw, effort, draw.random.choice(LONG_TEXTS))


def _with_topic(draw: Draw, effort: Effort, entry: Entry) -> tuple[Turn, ...]:
    topic = draw.pick("", "the ", "a ") + draw.phrase()
    final = entry.answer.replace("{topic}", topic)
    user = draw.pick(*entry.questions).replace("{topic}", topic)
    return (Turn(user, answer(reason(effort, entry.analysis), final)),)


def json_format(draw: Draw) -> tuple[ResponseFormat, tuple[str, ...]]:
    """Draw a response format, and the keys of the records that it describes."""
    values = {key: _value(draw, key) for key in _record_keys(draw)}
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {key: _property(draw, key, value) for key, value in values.items()},
    }
    if draw.chance(0.5):
        schema = {"title": draw.pick("Person", "Answer", "Record"), **schema}
    if draw.chance(0.9):
        schema["required"] = list(values)
    if draw.chance(0.4):
        schema["additionalProperties"] = False
    noun = draw.pick(*_NOUNS)
    description = draw.pick("", "", f"The {noun} as JSON", "JSON answer")
    compact = (",", ":") if draw.chance(0.5) else None
    text = json.dumps(schema, ensure_ascii=False, separators=compact)
    return ResponseFormat(noun, description, text), tuple(values)


def json_answer(draw: Draw, effort: Effort, keys: tuple[str, ...]) -> tuple[Turn, ...]:
    """Answer in JSON by a response format with `keys`, the values taken from the question."""
    values = {key: _value(draw, key) for key in keys}
    final = json.dumps(values, ensure_ascii=False, separators=(",", ":"))
    return (Turn(_describe(draw, values), answer(reason(effort, "The answer must be JSON."), final)),)


def _property(draw: Draw, key: str, value: object) -> dict[str, str]:
    kind = "integer" if isinstance(value, int) else "string"
    return {"title": key.capitalize(), "type": kind} if draw.chance(0.2) else {"type": kind}


def _record_keys(draw: Draw) -> list[str]:
    kind = draw.random.random()
    if kind < 0.35:
        return draw.random.choice(
            [["name", "age"], ["name", "age", "city"], ["name", "city"], ["city", "age", "name"]]
        )
    if kind < 0.8:
        return draw.random.sample(_NUMBER_KEYS + _STRING_KEYS, draw.random.choice([1, 2, 2, 3]))
    return list(dict.fromkeys(draw.identifier() for _ in range(draw.random.choice([1, 2, 2, 3]))))


def _value(draw: Draw, key: str) -> str | int:
    if key == "age":
        return draw.random.randint(1, 99)
    if key in _NUMBER_KEYS:
        return draw.number()
    if key == "name":
        return draw.name()
    if key == "city":
        return draw.city()
    return draw.rare_word(capitalised=draw.chance(0.5))


def _describe(draw: Draw, values: dict[str, str | int]) -> str:
    keys = set(values)
    if keys == {"name", "age"} and draw.chance(0.7):
        return draw.pick("{name} is {age} years old.", "My name is {name} and I am {age} years old.").format(
            **values
        )
    if keys == {"name", "age", "city"} and draw.chance(0.7):
        return draw.pick(
            "{name} is {age} years old and lives in {city}.",
            "My name is {name}, I am {age} years old and I live in {city}.",
            "{name} lives in {city} and is {age} years old.",
            "Extract: {name}, {age}, {city}.",
        ).format(**values)
    if keys == {"name", "city"} and draw.chance(0.7):
        return draw.pick("{name} lives in {city}.", "My name is {name} and I live in {city}.").format(
            **values
        )
    keys_in_order = list(values)
    draw.random.shuffle(keys_in_order)
    joined = draw.pick(", ", " and ", "; ").join(f"the {key} is {values[key]}" for key in keys_in_order)
    return draw.pick("Extract: ", "", "Data: ", "Make JSON: ") + joined + "."
