"""Grammars for other servers hold answers to the same tokens as our own."""

import json
from typing import Any

import pytest

from jupyter_mlx_gpt_oss.engine.remote_grammar import lark_grammar
from jupyter_mlx_gpt_oss.errors import InvalidRequestError, UnsupportedFeatureError
from jupyter_mlx_gpt_oss.harmony.grammar import turn_grammar
from jupyter_mlx_gpt_oss.vocabulary import NUM_TOKENS
from jupyter_mlx_gpt_oss.worker.constraint import ConstraintFactory
from tests.support.scripted_engine import tokens_of

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
JSON = {"type": "json_schema", "json_schema": {"schema": SCHEMA}}
TOOL = {"type": "function", "function": {"name": "f", "strict": True, "parameters": SCHEMA}}
NO_ANALYSIS = "<|channel|>analysis<|message|><|end|><|start|>assistant"
THOUGHT = "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant"


@pytest.fixture(scope="module")
def factory() -> ConstraintFactory:
    return ConstraintFactory(NUM_TOKENS)


def allows(factory: ConstraintFactory, lark: str, answer: str) -> bool:
    """Whether the grammar allows an answer, token for token, to its end."""
    constraint = factory.compile(json.dumps({"grammars": [{"lark_grammar": lark}]}))
    for token_id in tokens_of(answer):
        if not constraint.allowed()[token_id]:
            return False
        constraint.accept(token_id)
    return True


@pytest.mark.parametrize(
    ("fields", "opened", "right", "wrong"),
    [
        ({"response_format": JSON}, "", f'{THOUGHT}<|channel|>final<|message|>{{"n":1}}<|return|>',
         '<|channel|>final<|message|>{"n":"x"}<|return|>'),
        ({"tools": [TOOL], "tool_choice": "required"}, "",
         '<|channel|>commentary to=functions.f <|constrain|>json<|message|>{"n":1}<|call|>',
         "<|channel|>final<|message|>No.<|return|>"),
        ({"response_format": JSON, "reasoning_effort": "none"}, f"{NO_ANALYSIS}<|channel|>final<|message|>",
         '{"n":1}<|return|>', "Hello<|return|>"),
        ({"tools": [TOOL], "reasoning_effort": "none"}, NO_ANALYSIS,
         "<|channel|>final<|message|>Hi<|return|>", f"{THOUGHT}<|channel|>final<|message|>Hi<|return|>"),
        ({"tools": [TOOL]}, "<|channel|>final<|message|>Once upon", " a time<|return|>", " a<|call|>"),
    ],
)  # fmt: skip
def test_an_answer_is_held_to_the_same(
    factory: ConstraintFactory, fields: dict[str, Any], opened: str, right: str, wrong: str
) -> None:
    tools = fields.pop("tools", ())
    grammar = turn_grammar(tools, opened=tokens_of(opened), **fields)
    assert grammar is not None
    lark = lark_grammar(grammar)
    assert allows(factory, lark, right)
    assert not allows(factory, lark, wrong)


def test_a_json_answer_that_has_begun_is_refused_by_name() -> None:
    opened = tokens_of('<|channel|>final<|message|>{"n"')
    grammar = turn_grammar(response_format=JSON, opened=opened)
    assert grammar is not None
    with pytest.raises(UnsupportedFeatureError) as raised:
        lark_grammar(grammar)
    assert raised.value.param == "messages"


def test_names_in_quotes_stay_text() -> None:
    grammar = json.dumps({"grammars": [{"lark_grammar": 'start: "<|end|> @a" <|end|> /<|end|>/ @a'}]})
    assert lark_grammar(grammar) == 'start: "<|end|> @a" <[200007]> /<|end|>/ a'


def test_a_schema_alone_becomes_a_text() -> None:
    assert lark_grammar(json.dumps({"grammars": [{"json_schema": {}}]})) == "start: %json {}"


@pytest.mark.parametrize("lark", ["", " \n"])
def test_an_empty_grammar_is_refused_here_not_there(lark: str) -> None:
    with pytest.raises(InvalidRequestError, match="grammar is empty"):
        lark_grammar(json.dumps({"grammars": [{"lark_grammar": lark}]}))
