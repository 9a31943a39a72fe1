"""What a raw answer is held to: compiled as the worker compiles it, and what it then allows."""

import json
from contextlib import suppress
from typing import Any

import pytest

from jupyter_mlx_gpt_oss.errors import InvalidRequestError
from jupyter_mlx_gpt_oss.harmony.encoding import END_OF_TEXT, encode
from jupyter_mlx_gpt_oss.protocol.completions import CompletionRequest
from jupyter_mlx_gpt_oss.serving.completion_grammar import completion_grammar
from jupyter_mlx_gpt_oss.vocabulary import NUM_TOKENS
from jupyter_mlx_gpt_oss.worker.constraint import ConstraintFactory

SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}


@pytest.fixture(scope="module")
def factory() -> ConstraintFactory:
    return ConstraintFactory(NUM_TOKENS)


def grammar_of(**fields: Any) -> str | None:
    return completion_grammar(CompletionRequest.from_json(json.dumps({"prompt": "a", **fields}).encode()))


def allows(factory: ConstraintFactory, grammar: str | None, text: str) -> bool:
    """Say whether the grammar takes the text, and its end behind it."""
    assert grammar is not None
    constraint = factory.compile(grammar)
    for token_id in encode(text):
        if not constraint.allowed()[token_id]:
            return False
        constraint.accept(token_id)
    return bool(constraint.allowed()[END_OF_TEXT])


@pytest.mark.parametrize(
    ("held_to", "good", "bad"),
    [
        ({"regex": r"[a-c]+/\d{2}"}, "abc/12", "abc/1"),
        ({"regex": "a\nb"}, "a\nb", "ab"),
        ({"choice": ["yes", 'a "b"\n\\', "😀"]}, 'a "b"\n\\', "no"),
        ({"choice": ["yes", 'a "b"\n\\', "😀"]}, "😀", "yesyes"),
        ({"grammar": 'start: "x" DIGIT+\nDIGIT: /[0-9]/'}, "x42", "x"),
        ({"grammar": 'start: <|call|>? WORD{2}\nWORD: LETTER+ " "?\nLETTER: /[a-z]/\n  | "-"'}, "ab c-", "1"),
        ({"grammar": f"start: %json {json.dumps(SCHEMA)}"}, '{"a": 1}', '{"a": "1"}'),
        ({"json": SCHEMA}, '{"a": 1}', '{"b": 1}'),
        ({"json": json.dumps(SCHEMA)}, '{"a":1}', "[]"),
        ({"json": SCHEMA, "disable_any_whitespace": True}, '{"a":1}', '{"a": 1}'),
        ({"json_object": True}, '{"x": [1, null]}', "[1]"),
    ],
)
def test_each_kind_holds_the_text(
    factory: ConstraintFactory, held_to: dict[str, Any], good: str, bad: str
) -> None:
    grammar = grammar_of(structured_outputs=held_to)
    assert allows(factory, grammar, good)
    assert not allows(factory, grammar, bad)


def test_openais_response_format_is_the_same(factory: ConstraintFactory) -> None:
    schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}
    assert allows(factory, grammar_of(response_format=schema), '{"a": 1}')
    assert not allows(factory, grammar_of(response_format={"type": "json_object"}), "1")
    assert grammar_of(response_format={"type": "text"}) is None
    assert grammar_of() is None


@pytest.mark.parametrize(
    ("held_to", "param"),
    [
        ({"regex": "a" * 100_001}, "structured_outputs.regex"),
        ({"choice": ["a" * 100_001]}, "structured_outputs.choice"),
        ({"grammar": "a" * 100_001}, "structured_outputs.grammar"),
        (
            {"grammar": "start: r0\n" + "\n".join(f"r{i}: r{i + 1}" for i in range(1001))},
            "structured_outputs.grammar",
        ),
        ({"grammar": "\n".join(f"T{i}: T{i + 1} T{i + 1}" for i in range(14))}, "structured_outputs.grammar"),
        ({"grammar": 'start: T\nT: U{1,1000}\nU: "a"{1,1000}'}, "structured_outputs.grammar"),
        ({"grammar": "\n".join(f"T{i}: T{i + 1}" for i in range(900))}, "structured_outputs.grammar"),
        ({"grammar": "start: T\nT: T"}, "structured_outputs.grammar"),
        ({"grammar": 'start: %json {"multipleOf": 0.123456789}'}, "structured_outputs.grammar"),
        ({"json": "{"}, "structured_outputs.json"),
        ({"json": "[1]"}, "structured_outputs.json"),
        ({"json": {"multipleOf": 0.123456789}}, "structured_outputs.json"),
    ],
)
def test_what_is_beyond_the_limits_is_refused_by_name(held_to: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        grammar_of(structured_outputs=held_to)
    assert caught.value.param == param


@pytest.mark.parametrize("beginning", ["T: ", ""])
@pytest.mark.parametrize("text", ["\n", '"', '\\"', "/", "{1", "a", "A ", "A:", "|\n", "%json {"])
def test_a_long_grammar_is_looked_through_once(beginning: str, text: str) -> None:
    grammar = beginning + text * (90_000 // len(text))
    with suppress(InvalidRequestError):
        grammar_of(structured_outputs={"grammar": grammar})


@pytest.mark.parametrize("held_to", [{"regex": "("}, {"grammar": "start: ("}, {"grammar": "start: %json {"}])
def test_what_cannot_be_compiled_is_refused(factory: ConstraintFactory, held_to: dict[str, Any]) -> None:
    grammar = grammar_of(structured_outputs=held_to)
    assert grammar is not None
    with pytest.raises(InvalidRequestError, match="cannot be compiled"):
        factory.compile(grammar)
