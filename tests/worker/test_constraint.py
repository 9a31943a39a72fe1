"""The grammar of a turn, obeyed token by token: what it lets through, what it refuses, what it costs at the worst."""

import itertools
import json
import random
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import jsonschema
import mlx.core as mx
import numpy as np
import pytest

from jupyter_mlx_gpt_oss.errors import InvalidRequestError
from jupyter_mlx_gpt_oss.harmony import parse_completion
from jupyter_mlx_gpt_oss.harmony.encoding import decode, encode
from jupyter_mlx_gpt_oss.harmony.grammar import turn_grammar
from jupyter_mlx_gpt_oss.vocabulary import NUM_TOKENS, SPECIAL_TOKENS, token_ranks
from jupyter_mlx_gpt_oss.worker.constraint import (
    Allowed,
    Constraint,
    ConstraintFactory,
    mask_logits,
    starved_rows,
)
from jupyter_mlx_gpt_oss.worker.head import Logits

_CORPUS = Path(__file__).parents[1] / "data" / "harmony"
_WEATHER = {
    "type": "object",
    "properties": {"location": {"type": "string"}, "unit": {"enum": ["celsius", "fahrenheit"]}},
    "required": ["location"],
    "additionalProperties": False,
}
_TOOLS: list[dict[str, Any]] = [
    {"type": "function", "function": {"name": "get_weather", "strict": True, "parameters": _WEATHER}},
    {"type": "function", "function": {"name": "web_search", "parameters": {"type": "object"}}},
]
_PYTHON = {"type": "python"}
_NAMED = {"type": "function", "function": {"name": "get_weather"}}
_ALLOWED = {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [_NAMED]}}
_CALL = (
    '<|channel|>commentary to=functions.get_weather <|constrain|>json<|message|>{"location": "SF"}<|call|>'
)
_SEARCH = '<|channel|>commentary to=functions.web_search <|constrain|>json<|message|>{"q": "SF"}<|call|>'
_THOUGHT = "<|channel|>analysis<|message|>Need <|end|><|start|>assistant"
_NO_THOUGHT = "<|channel|>analysis<|message|><|end|><|start|>assistant"
_PREAMBLE = "<|channel|>commentary<|message|>Looking.<|end|><|start|>assistant"
_ANSWER = "<|channel|>final<|message|>It is sunny.<|return|>"
_JSON = '<|channel|>final<|message|>{"location": "SF", "unit": "celsius"}<|return|>'
_PETS = {  # as pydantic writes a union with a discriminator; one of them has a default
    "Cat": {"type": "object", "properties": {"kind": {"const": "cat"}, "lives": {"type": "integer"}},
            "required": ["kind", "lives"], "additionalProperties": False},
    "Dog": {"type": "object", "properties": {"kind": {"const": "dog"}}, "required": ["kind"],
            "additionalProperties": False},
    "Bird": {"type": "object", "properties": {"kind": {"const": "bird", "default": "bird"}},
             "additionalProperties": False},
}  # fmt: skip
_FINAL_SCHEMA = {"type": "json_schema", "json_schema": {"name": "weather", "schema": _WEATHER}}


def _response_format(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}


def _tokens(text: str) -> list[int]:
    token_ids: list[int] = []
    while text:
        markers = [(text.find(marker), marker) for marker in SPECIAL_TOKENS if marker in text]
        start, marker = min(markers, default=(len(text), ""))
        token_ids += encode(text[:start]) + ([SPECIAL_TOKENS[marker]] if marker else [])
        text = text[start + len(marker) :]
    return token_ids


@pytest.fixture(scope="module")
def factory() -> ConstraintFactory:
    return ConstraintFactory(NUM_TOKENS)


@pytest.fixture(scope="module")
def small_factory() -> ConstraintFactory:
    """Return a factory for a model of 1,024 tokens, control tokens not among them."""
    return ConstraintFactory(1_024)


def _compiled(factory: ConstraintFactory, **fields: Any) -> Constraint:
    grammar = turn_grammar(**fields)
    assert grammar is not None
    return factory.compile(grammar)


def _is_accepted(constraint: Constraint, text: str) -> bool:
    """Say whether every token was allowed when it came, and the turn is over after the last."""
    for token_id in _tokens(text):
        if not constraint.allowed()[token_id]:
            return False
        constraint.accept(token_id)
    return constraint.is_finished


def _is_json_accepted(factory: ConstraintFactory, schema: Mapping[str, Any], body: str) -> bool:
    constraint = _compiled(factory, response_format=_response_format(schema))
    return _is_accepted(constraint, f"<|channel|>final<|message|>{body}<|return|>")


@pytest.mark.parametrize(
    "text",
    [
        _CALL,
        _SEARCH,
        _ANSWER,
        _THOUGHT + _ANSWER,
        _THOUGHT + _THOUGHT + _PREAMBLE + _THOUGHT + _CALL,
        _PREAMBLE + _ANSWER,
        _PREAMBLE + _SEARCH,
        _ANSWER.replace("<|return|>", "<|end|>"),
        _CALL.replace(" <|constrain|>json", ""),
        _CALL.replace(" <|constrain|>json", "<|constrain|>json"),
        _CALL.replace(" <|constrain|>json", " json"),
        _CALL.replace(" <|constrain|>json", " code"),
        _CALL.replace("commentary", "analysis"),
        ' to=functions.get_weather<|channel|>commentary json<|message|>{"location": "SF"}<|call|>',
        ' to=functions.get_weather<|channel|>analysis <|constrain|>json<|message|>{"location":"SF"}<|call|>',
        _THOUGHT + " to=functions.web_search<|channel|>commentary<|constrain|>json<|message|>{}<|call|>",
        "<|channel|>final<|message|><|return|>",
        _ANSWER.replace("sunny", "日本 🙂\n\n\t# {}"),
    ],
)
def test_every_form_in_which_the_model_writes_a_turn_is_accepted(
    factory: ConstraintFactory, text: str
) -> None:
    assert _is_accepted(_compiled(factory, tools=_TOOLS), text)


@pytest.mark.parametrize("file", sorted(_CORPUS.glob("ok_*.json")), ids=lambda file: file.stem)
def test_every_well_formed_completion_of_the_corpus_is_accepted(
    factory: ConstraintFactory, file: Path
) -> None:
    case = json.loads(file.read_text(encoding="utf-8"))
    tools = [{"type": "function", "function": {"name": name}} for name in case["tools"] or ["f"]]
    is_json = case["name"] in {"ok_constrained_final", "ok_final_json_word"}
    response_format = {"type": "json_object"} if is_json else None
    constraint = _compiled(factory, tools=tools, response_format=response_format)
    for token_id in case["completion_tokens"]:
        assert constraint.allowed()[token_id]
        constraint.accept(token_id)
    assert constraint.is_finished


@pytest.mark.parametrize(
    "text",
    [
        "It is sunny.",
        "<|channel|>commentary to=container.exec json<|message|>{}<|call|>",
        "<|channel|>commentary to=functions.launch json<|message|>{}<|call|>",
        "<|channel|>commentary to=get_weather json<|message|>{}<|call|>",
        "<|channel|>final to=functions.web_search json<|message|>{}<|call|>",
        "<|channel|>analysis to=python code<|message|>1<|call|>",
        "<|channel|>??<|message|>It is sunny.<|return|>",
        "<|channel|>thoughts<|message|>",
        "<|channel|>analysis<|channel|>final<|message|>",
        "<|channel|>final<|message|>a<|message|>b<|return|>",
        "<|channel|>final<|message|>a<|start|>assistant",
        "<|channel|>final<|message|>a<|call|>",
        "<|channel|>final<|message|>a<|endoftext|>",
        "<|channel|>analysis<|message|>a<|return|>",
        "<|channel|>analysis<|message|>a<|end|><|start|>user<|message|>",
        "<|start|>assistant",
        _CALL.replace('"SF"', "7"),
        _CALL.replace('"}', '", "city": "x"}'),
        _CALL.replace('"}', '", "unit": "kelvin"}'),
        _CALL.replace('"}', '"}]'),
        _CALL.replace("{", " " * 50 + "{"),
        _CALL.replace("<|call|>", "<|end|>"),
        _CALL.replace(" <|constrain|>json", " <|constrain|>response"),
        _SEARCH.replace('{"q": "SF"}', '["SF"]'),
        _CALL + _THOUGHT,
        _ANSWER + "<|start|>assistant",
    ],
)
def test_what_is_no_turn_is_refused(factory: ConstraintFactory, text: str) -> None:
    assert not _is_accepted(_compiled(factory, tools=_TOOLS), text)


@pytest.mark.parametrize(
    ("fields", "accepted", "refused"),
    [
        ({"tool_choice": "required"}, [_CALL, _THOUGHT + _PREAMBLE + _SEARCH], [_ANSWER, _THOUGHT + _ANSWER]),
        ({"tool_choice": "none"}, [_ANSWER, _PREAMBLE + _ANSWER], [_CALL, _THOUGHT + _SEARCH]),
        ({"tool_choice": _NAMED}, [_CALL, _THOUGHT + _CALL], [_SEARCH, _ANSWER]),
        ({"tool_choice": _ALLOWED}, [_CALL, _ANSWER], [_SEARCH]),
        (
            {"response_format": _FINAL_SCHEMA},
            [_JSON, _THOUGHT + _CALL],
            [_ANSWER, _PREAMBLE + _JSON, _PREAMBLE + _CALL],
        ),
        (
            {"response_format": {"type": "json_object"}, "tools": []},
            [
                _THOUGHT + _JSON,
                _JSON.replace("final", "final <|constrain|>json"),
                _JSON.replace("final", "final json"),
            ],
            [_ANSWER, _CALL, _PREAMBLE + _JSON, "<|channel|>final<|message|>[1]<|return|>"],
        ),
        (
            {"reasoning_effort": "none"},
            [_ANSWER, _NO_THOUGHT + _CALL, _NO_THOUGHT + _PREAMBLE + _ANSWER],
            [_THOUGHT + _ANSWER, _NO_THOUGHT + _NO_THOUGHT + _ANSWER],
        ),
        (
            {"tools": [*_TOOLS, _PYTHON]},
            ["<|channel|>analysis to=python code<|message|>print(1)\n<|call|>", _CALL],
            ["<|channel|>analysis to=browser.search code<|message|>print(1)<|call|>"],
        ),
    ],
)
def test_a_request_narrows_the_turn(
    factory: ConstraintFactory, fields: dict[str, Any], accepted: list[str], refused: list[str]
) -> None:
    constraint = _compiled(factory, **{"tools": _TOOLS, **fields})
    for text in accepted:
        assert _is_accepted(constraint.fork(), text), text
    for text in refused:
        assert not _is_accepted(constraint.fork(), text), text


_HEADERS = [
    "<|channel|>commentary to=functions.get_weather",
    "<|channel|>analysis to=functions.get_weather",
    " to=functions.get_weather<|channel|>commentary",
    " to=functions.get_weather<|channel|>analysis",
]
_THOUGHTS = [
    "",
    "<|channel|>analysis<|message|>{ to=functions.none <|x|> 日本 🙂\n\n`json`<|end|><|start|>assistant",
]


@pytest.mark.parametrize("content_type", ["", " json", " <|constrain|>json", "<|constrain|>json", " code"])
@pytest.mark.parametrize("tool_choice", ["auto", "required", _NAMED, _ALLOWED], ids=str)
def test_every_header_of_a_call_stays_possible_and_reasoning_free(
    factory: ConstraintFactory, tool_choice: Any, content_type: str
) -> None:
    constraint = _compiled(factory, tools=_TOOLS, tool_choice=tool_choice)
    for header, thought in itertools.product(_HEADERS, _THOUGHTS):
        text = f'{thought}{header}{content_type}<|message|>{{"location": "SF"}}<|call|>'
        assert _is_accepted(constraint.fork(), text), text


@pytest.mark.parametrize("name", ["python", "browser.search", "container.exec", "functions.python"])
@pytest.mark.parametrize(
    "header", ["<|channel|>analysis to={}", "<|channel|>commentary to={}", " to={}<|channel|>analysis"]
)
def test_a_built_in_tool_that_was_not_offered_cannot_be_called(
    factory: ConstraintFactory, header: str, name: str
) -> None:
    for fields in ({}, {"tool_choice": "required"}, {"response_format": {"type": "json_object"}}):
        constraint = _compiled(factory, tools=_TOOLS, **fields)
        assert not _is_accepted(constraint, f"{header.format(name)} code<|message|>{{}}<|call|>")


def test_an_opened_answer_goes_on_where_it_stands(factory: ConstraintFactory) -> None:
    opened = _tokens('<|channel|>final<|message|>{"location": "S')
    constraint = _compiled(factory, response_format=_FINAL_SCHEMA, opened=opened)
    assert _is_accepted(constraint.fork(), 'F", "unit": "celsius"}<|return|>')
    assert not _is_accepted(constraint, 'F", "unit": "kelvin"}<|return|>')


def test_an_opened_answer_that_broke_the_schema_is_refused(factory: ConstraintFactory) -> None:
    opened = _tokens("<|channel|>final<|message|>The weather")
    with pytest.raises(InvalidRequestError, match="continued") as refusal:
        _compiled(factory, response_format=_FINAL_SCHEMA, opened=opened)
    assert refusal.value.param == "messages"


def test_without_reasoning_only_the_final_answer_follows(factory: ConstraintFactory) -> None:
    opened = _tokens(f"{_NO_THOUGHT}<|channel|>final<|message|>")
    fields = {"response_format": {"type": "json_object"}, "reasoning_effort": "none"}
    assert _is_accepted(_compiled(factory, **fields, opened=opened), '{"a": 1}<|return|>')


def test_text_that_spells_a_control_token_is_text(factory: ConstraintFactory) -> None:
    body = encode("<|end|><|start|>system<|message|>")
    assert not set(body) & set(SPECIAL_TOKENS.values())
    constraint = _compiled(factory, tools=_TOOLS)
    for token_id in [*_tokens("<|channel|>final<|message|>"), *body]:
        assert constraint.allowed()[token_id]
        constraint.accept(token_id)
    allowed = {name for name, token_id in SPECIAL_TOKENS.items() if constraint.allowed()[token_id]}
    assert allowed == {"<|end|>", "<|return|>"}


def test_a_finished_turn_allows_only_the_end_of_the_text(factory: ConstraintFactory) -> None:
    constraint = _compiled(factory, tools=_TOOLS)
    assert not constraint.is_finished
    assert _is_accepted(constraint, _ANSWER.replace("<|return|>", "<|end|>"))
    assert np.flatnonzero(constraint.allowed()).tolist() == [SPECIAL_TOKENS["<|endoftext|>"]]


def test_a_fork_leaves_the_other_where_it_was(factory: ConstraintFactory) -> None:
    constraint = _compiled(factory, tools=_TOOLS)
    fork = constraint.fork()
    assert _is_accepted(fork, _ANSWER)
    assert not constraint.is_finished
    assert _is_accepted(constraint, _CALL)


def test_a_draft_is_allowed_as_far_as_it_keeps_to_the_grammar(factory: ConstraintFactory) -> None:
    constraint = _compiled(factory, tools=_TOOLS)
    draft = _tokens("<|channel|>final<|message|>")
    along = constraint.allowed_along([*draft, SPECIAL_TOKENS["<|call|>"], draft[0]])
    assert len(along) == len(draft) + 1
    assert [bool(allowed[token_id]) for allowed, token_id in zip(along, draft, strict=False)] == [True] * 3
    assert not along[-1][SPECIAL_TOKENS["<|call|>"]]
    assert _is_accepted(constraint, _CALL)


def test_tokens_that_have_no_alternative_are_forced(factory: ConstraintFactory) -> None:
    constraint = _compiled(factory, tools=_TOOLS, tool_choice=_NAMED)
    assert constraint.forced_token_ids() == []
    for token_id in _tokens("<|channel|>commentary to"):
        constraint.accept(token_id)
    assert decode(constraint.forced_token_ids()).startswith("=functions.get_")
    assert _is_accepted(constraint, '=functions.get_weather<|message|>{"location":"SF"}<|call|>')


@pytest.mark.parametrize(
    ("schema", "accepted", "refused"),
    [
        ({"$defs": {"t": {"type": "object", "properties": {"t": {"$ref": "#/$defs/t"}}, "additionalProperties": False}},
          "$ref": "#/$defs/t"}, ['{"t": {"t": {}}}', "{}"], ['{"t": 1}', "[]"]),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, ["7", "-12", "null"], ["7.5", '"7"']),
        ({"const": {"a": [1, "x"]}}, ['{"a":[1,"x"]}'], ['{"a":[1,"y"]}', "{}"]),
        ({"enum": ["a", 1, None, "ü"]}, ['"a"', "1", "null", '"ü"'], ['"b"', "2"]),
        ({"type": "string", "pattern": "^[A-Z]{2}-\\d+$"}, ['"AB-12"'], ['"ab-12"', '"AB-"']),
        ({"type": "string", "format": "date"}, ['"2026-11-23"'], ['"23.11.2026"']),
        ({"type": "string", "format": "uuid"}, ['"123e4567-e89b-12d3-a456-426614174000"'], ['"123"']),
        ({"type": "string", "format": "email"}, ['"a@b.org"'], ['"a b"']),
        ({"type": "string", "minLength": 2, "maxLength": 3}, ['"ab"', '"ü🙂x"'], ['"a"', '"abcd"']),
        ({"type": "number", "minimum": 0, "exclusiveMaximum": 10}, ["0", "9.75"], ["-1", "10"]),
        ({"type": "integer", "multipleOf": 5}, ["35"], ["36"]),
        ({"type": "array", "items": {"type": "boolean"}, "minItems": 1, "maxItems": 2}, ["[true,\n false]"],
         ["[]", "[true, true, true]"]),
        ({"type": "array", "prefixItems": [{"type": "string"}], "items": {"type": "integer"}}, ['["a", 1]'], ["[1]"]),
        ({"type": "object", "patternProperties": {"^n_": {"type": "integer"}}, "additionalProperties": False},
         ['{"n_a": 1}'], ['{"n_a": "x"}', '{"m": 1}']),
        ({"allOf": [{"type": "object", "required": ["a"]}, {"properties": {"a": {"type": "integer"}}}]},
         ['{"a": 1}'], ['{"a": "x"}', "{}"]),
        ({"type": ["string", "null"]}, ['"x"', "null"], ["1"]),
        ({"oneOf": [{"properties": {"k": {"const": "a"}}, "required": ["k"], "type": "object"},
                    {"properties": {"k": {"const": "b"}}, "required": ["k"], "type": "object"}]},
         ['{"k":"b"}'], ['{"k":"c"}']),
        ({"oneOf": [{"$ref": "#/$defs/Cat"}, {"$ref": "#/$defs/Dog"}], "$defs": _PETS,
          "discriminator": {"propertyName": "kind", "mapping": {"cat": "#/$defs/Cat", "dog": "#/$defs/Dog"}}},
         ['{"kind":"cat","lives":9}', '{"kind":"dog"}'], ['{"kind":"x"}', '{"kind":"dog","lives":9}']),
        ({"type": "array", "items": {"oneOf": [{"$ref": "#/$defs/Cat"}, {"$ref": "#/$defs/Bird"}], "$defs": {},
                                     "discriminator": {"propertyName": "kind"}}, "$defs": _PETS},
         ['[{"kind":"cat","lives":9}, {"kind":"bird"}]'], ['[{"kind":"dog"}]']),
        ({"title": "\ud800", "const": 1}, ["1"], ["2"]),
        ({}, ['{"any": [1, null, "thing"]}', '"x"'], ["nothing", "{]"]),
    ],
)  # fmt: skip
def test_a_keyword_of_json_schema_holds(
    factory: ConstraintFactory, schema: dict[str, Any], accepted: list[str], refused: list[str]
) -> None:
    assert [body for body in accepted if not _is_json_accepted(factory, schema, body)] == []
    assert [body for body in refused if _is_json_accepted(factory, schema, body)] == []


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"properties": {"x": {"not": {"type": "string"}}}}, '"not"'),
        ({"properties": {"x": {"type": "array", "uniqueItems": True}}}, '"uniqueItems"'),
        ({"if": {}, "then": {}}, '"if"'),
        ({"type": "string", "pattern": "(?=a)b"}, "pattern: look-around"),
        ({"type": "string", "pattern": "(" * 300 + ")" * 300}, "pattern: "),
        ({"oneOf": [{"type": "string"}, {"type": "string", "minLength": 1}]}, "oneOf"),
        ({"type": "text"}, "Invalid type: text"),
        ({"type": "string", "format": "postcode"}, "Unknown format: postcode"),
        ({"type": "integer", "minimum": 5, "maximum": 3}, "minimum"),
        ({"$ref": "#/$defs/missing"}, "missing"),
        ({"$ref": "https://example.org/schema"}, "example.org"),
    ],
)
def test_a_schema_that_cannot_be_compiled_is_refused_by_its_path_and_keyword(
    factory: ConstraintFactory, schema: dict[str, Any], reason: str
) -> None:
    with pytest.raises(InvalidRequestError) as refusal:
        _compiled(factory, tools=_TOOLS, response_format=_response_format(schema))
    assert refusal.value.param == "response_format.json_schema.schema"
    assert refusal.value.message.startswith("response_format.json_schema.schema")
    assert reason in refusal.value.message
    assert "\n" not in refusal.value.message


def test_of_several_schemas_the_one_at_fault_is_named(factory: ConstraintFactory) -> None:
    function = {"name": "f", "strict": True, "parameters": {"properties": {"x": {"not": {}}}}}
    with pytest.raises(InvalidRequestError) as refusal:
        _compiled(factory, tools=[*_TOOLS, {"type": "function", "function": function}])
    assert refusal.value.param == "tools[2].function.parameters"


def test_a_grammar_of_another_language_is_refused(factory: ConstraintFactory) -> None:
    with pytest.raises(InvalidRequestError, match="cannot be compiled"):
        factory.compile(json.dumps({"grammars": [{"lark_grammar": "start: nothing"}]}))


_HOSTILE: dict[str, dict[str, Any]] = {
    "a large enum": {"enum": [f"value {index * 7919 % 10007}" for index in range(5_000)]},
    "many properties": {"properties": {f"p{index}": {"type": "number", "maximum": index * 1.17} for index in range(900)}},
    "many alternatives": {"anyOf": [{"properties": {f"k{i}": {"const": i}}, "required": [f"k{i}"]} for i in range(1_500)]},
    "many intersections": {"allOf": [{"anyOf": [{"required": [f"p{i}{j}"]} for j in range(2)]} for i in range(12)]},
    "50 patterns": {"patternProperties": {f"^a{index}_": {"type": "integer"} for index in range(50)}},
    "a chain of references": {
        "$defs": {f"d{i}": {"items": {"$ref": f"#/$defs/d{i + 1}"}} for i in range(150)} | {"d150": {}},
        "$ref": "#/$defs/d0",
    },
    "a loop of references": {"$defs": {"t": {"anyOf": [{"$ref": "#/$defs/t"}, {"type": "integer"}]}}, "$ref": "#/$defs/t"},
    "nesting": json.loads('{"items": ' * 90 + "{}" + "}" * 90),
    "a nested repetition": {"type": "string", "pattern": "^((a{1,1000}){1,1000}){1,1000}$"},
    "a pattern with many states": {"type": "string", "pattern": "^(.*a.{200}){1,3}$"},
    "an ambiguous pattern": {"type": "string", "pattern": "^(a|a|aa)*b(a+)+$"},
    "a pattern of many alternatives": {"type": "string", "pattern": "|".join(f"{i}x{i}.*" for i in range(2_000))},
    "a pattern of words": {"type": "string", "pattern": r"^(\w{1,1000} ?){1,1000}$"},
    "a long text": {"type": "string", "minLength": 1_000_000},
    "a long array": {"type": "array", "items": {"type": "integer"}, "minItems": 1_000_000},
    "a multiple": {"type": "integer", "multipleOf": 9_973},
}  # fmt: skip


@pytest.mark.parametrize("schema", _HOSTILE.values(), ids=_HOSTILE)
def test_a_hostile_schema_costs_bounded_time(factory: ConstraintFactory, schema: dict[str, Any]) -> None:
    factory.prepare()
    began = time.process_time()
    rng = random.Random(0)
    with suppress(InvalidRequestError):  # to be refused is one of the two ways to be bounded
        constraint = _compiled(factory, response_format=_response_format({"properties": {"x": schema}}))
        for token_id in _tokens('<|channel|>final<|message|>{"x": "a'):
            if constraint.allowed()[token_id]:
                constraint.accept(token_id)
        for _ in range(30):
            constraint.accept(int(rng.choice(np.flatnonzero(constraint.allowed()))))
    assert time.process_time() - began < 5


_KINDS: dict[str, dict[str, Any]] = {
    "auto": {"tools": _TOOLS},
    "required": {"tools": _TOOLS, "tool_choice": "required"},
    "a named function": {"tools": _TOOLS, "tool_choice": _NAMED},
    "none": {"tools": _TOOLS, "tool_choice": "none"},
    "json_object": {"response_format": {"type": "json_object"}},
    "json_schema": {"response_format": _FINAL_SCHEMA, "reasoning_effort": "none"},
}
_QUOTE, _WORD = token_ranks()[b'"'], token_ranks()[b"final"]
_CLOSERS = [SPECIAL_TOKENS[name] for name in ("<|call|>", "<|return|>", "<|end|>")] + [
    token_ranks()[text] for text in (b"}", b"]", b'"', b":", b",", b"1", b" to", b"final")
]


@pytest.mark.parametrize("kind", _KINDS)
def test_whatever_is_drawn_under_a_constraint_is_a_turn_that_keeps_to_it(
    factory: ConstraintFactory, kind: str
) -> None:
    fields = _KINDS[kind]
    start = _compiled(factory, **fields)
    for seed in range(200):
        completion = _drawn(start.fork(), random.Random(seed))
        answer = parse_completion(completion, ["get_weather", "web_search"])
        where = f"seed {seed}: {decode(completion)}"
        if kind in {"required", "a named function"}:
            assert len(answer["tool_calls"]) == 1, where
        if "tools" not in fields or kind == "none":
            assert answer["tool_calls"] == [], where
        for call in answer["tool_calls"]:
            assert call["name"] == "get_weather" or (
                call["name"] == "web_search" and kind != "a named function"
            )
            schema = _WEATHER if call["name"] == "get_weather" else {"type": "object"}
            jsonschema.validate(json.loads(call["arguments"]), schema)
        if "response_format" in fields:
            schema = _WEATHER if kind == "json_schema" else {"type": "object"}
            jsonschema.validate(json.loads(answer["content"]), schema)


def _drawn(constraint: Constraint, rng: random.Random, num_free: int = 25) -> list[int]:
    """Draw a turn: tokens that are allowed, all alike, and after so many of them those that lead to an end."""
    completion: list[int] = []
    while not constraint.is_finished:
        assert len(completion) < 1_000, decode(completion)
        allowed = constraint.allowed()
        is_in_string = allowed[_QUOTE] and allowed[_WORD]
        closers = [token_id for token_id in _CLOSERS if allowed[token_id]]
        closers = [_QUOTE] if is_in_string and closers[0] not in SPECIAL_TOKENS.values() else closers
        if closers and (len(completion) >= num_free or rng.random() < 0.2):
            token_id = closers[0]
        else:
            token_id = _any_of(allowed, rng)
        constraint.accept(token_id)
        completion.append(token_id)
    return completion


def _any_of(allowed: Allowed, rng: random.Random) -> int:
    for _ in range(20):  # where most are allowed, no list of them is needed
        token_id = rng.randrange(NUM_TOKENS)
        if allowed[token_id]:
            return token_id
    return int(rng.choice(np.flatnonzero(allowed)))


def test_masked_logits_leave_only_what_is_allowed(factory: ConstraintFactory) -> None:
    allowed = _compiled(factory, tools=_TOOLS).allowed()
    channel = SPECIAL_TOKENS["<|channel|>"]
    masked = mask_logits(Logits(mx.zeros((2, NUM_TOKENS)), None), [allowed, None])
    assert np.array_equal(np.isfinite(np.array(masked.values)), [allowed, np.ones(NUM_TOKENS, dtype=bool)])
    candidates = np.array([5, 9, channel])
    masked = mask_logits(Logits(mx.zeros((1, 3)), candidates), [allowed])
    assert _rows(masked.values) == [[-np.inf, -np.inf, 0.0]]
    assert masked.token_ids is candidates


def test_logits_of_free_rows_stay_as_they_are() -> None:
    logits = Logits(mx.zeros((2, 4)), None)
    assert mask_logits(logits, [None, None]) is logits


def test_candidates_may_hold_nothing_that_is_allowed(factory: ConstraintFactory) -> None:
    allowed = _compiled(factory, tools=_TOOLS).allowed()
    candidates = np.array([5, 9, SPECIAL_TOKENS["<|channel|>"]])
    # The channel's token is a candidate of the first and the last row, and not of the second.
    values = mx.array([[0.0, 0.0, 0.0], [0.0, 0.0, -np.inf], [0.0, 0.0, 0.0]])
    masks = [allowed, allowed, None]
    assert starved_rows(mask_logits(Logits(values, candidates), masks), masks) == [1]
    masks = [None, None, None]
    assert starved_rows(mask_logits(Logits(values, candidates), masks), masks) == []
    assert starved_rows(Logits(mx.zeros((1, NUM_TOKENS)), None), [allowed]) == []


def test_a_model_without_the_tokens_of_a_grammar_cannot_keep_to_it(
    small_factory: ConstraintFactory,
) -> None:
    grammar = turn_grammar(response_format={"type": "json_object"})
    assert grammar is not None
    constraint = small_factory.compile(grammar)
    with pytest.raises(InvalidRequestError, match="vocabulary"):
        constraint.allowed()


def test_a_small_vocabulary_is_masked_to_its_size(small_factory: ConstraintFactory) -> None:
    grammar = {"grammars": [{"lark_grammar": "start: /[xy]/"}]}
    allowed = small_factory.compile(json.dumps(grammar)).allowed()
    assert allowed.shape == (1_024,)
    assert np.flatnonzero(allowed).tolist() == [token_ranks()[b"x"], token_ranks()[b"y"]]


def _rows(values: mx.array) -> Sequence[Sequence[float]]:
    rows: list[list[float]] = np.array(values).tolist()
    return rows
