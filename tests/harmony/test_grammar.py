"""What is asked of a turn, to the parts of its grammar. That the grammar holds is shown in tests/worker."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from jupyter_mlx_gpt_oss.errors import InvalidRequestError
from jupyter_mlx_gpt_oss.harmony.grammar import turn_grammar

_SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
_TOOL = {"type": "function", "function": {"name": "f", "parameters": _SCHEMA}}
_STRICT = {"type": "function", "function": {"name": "g", "parameters": _SCHEMA, "strict": True}}
_FORMAT = {"type": "json_schema", "json_schema": {"name": "n", "schema": _SCHEMA}}


def _bodies(grammar: str | None) -> dict[str, Any]:
    assert grammar is not None
    bodies = {part["name"]: part["json_schema"] for part in json.loads(grammar)["grammars"][1:]}
    return {
        name: {key: schema[key] for key in schema if key != "x-guidance"} for name, schema in bodies.items()
    }


@pytest.mark.parametrize("response_format", [None, {"type": "text"}])
@pytest.mark.parametrize("tool_choice", ["auto", "none"])
def test_a_turn_that_is_held_to_nothing_has_no_grammar(
    response_format: dict[str, Any] | None, tool_choice: str
) -> None:
    assert turn_grammar((), tool_choice=tool_choice, response_format=response_format) is None


def test_a_strict_tool_is_held_to_its_schema_and_another_to_an_object() -> None:
    bodies = _bodies(turn_grammar([_TOOL, _STRICT]))
    assert bodies == {"arguments_0": {"type": "object"}, "arguments_1": _SCHEMA}


def test_a_strict_tool_without_parameters_takes_none() -> None:
    tool = {"type": "function", "function": {"name": "f", "strict": True}}
    assert _bodies(turn_grammar([tool])) == {"arguments_0": {"type": "object", "additionalProperties": False}}


@pytest.mark.parametrize("kind", ["object", ["object"], ["object", "null"]])
def test_a_strict_tool_takes_an_object_however_its_schema_says_so(kind: Any) -> None:
    function = {"name": "f", "strict": True, "parameters": {**_SCHEMA, "type": kind}}
    assert _bodies(turn_grammar([{"type": "function", "function": function}])) == {"arguments_0": _SCHEMA}


def test_only_the_tools_that_may_be_called_are_compiled() -> None:
    named = {"type": "function", "function": {"name": "g"}}
    assert list(_bodies(turn_grammar([_TOOL, _STRICT], tool_choice=named))) == ["arguments_0"]
    assert _bodies(turn_grammar([_TOOL, _STRICT], tool_choice="none")) == {}


def test_the_answer_is_held_to_its_schema_whether_strict_or_not() -> None:
    assert _bodies(turn_grammar(response_format=_FORMAT)) == {"answer_body": _SCHEMA}
    assert _bodies(turn_grammar(response_format={"type": "json_object"})) == {
        "answer_body": {"type": "object"}
    }


def test_a_clients_own_compiler_options_do_not_count() -> None:
    schema = {**_SCHEMA, "x-guidance": {"lenient": True}}
    response_format = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}
    grammar = turn_grammar(response_format=response_format)
    assert grammar is not None
    assert "lenient" not in grammar


def test_every_schema_is_kept_with_its_path() -> None:
    grammar = turn_grammar([_TOOL, _STRICT], response_format=_FORMAT)
    assert grammar is not None
    assert json.loads(grammar)["params"] == {
        "arguments_0": "tools[0].function.parameters",
        "arguments_1": "tools[1].function.parameters",
        "answer_body": "response_format.json_schema.schema",
    }


def test_a_call_cannot_be_required_of_an_answer_that_has_begun(tokens: Callable[[str], list[int]]) -> None:
    opened = tokens("<|channel|>final<|message|>The sum")
    with pytest.raises(InvalidRequestError, match="begun") as refusal:
        turn_grammar([_TOOL], tool_choice="required", opened=opened)
    assert refusal.value.param == "tool_choice"


def test_a_call_can_be_required_behind_an_empty_analysis(tokens: Callable[[str], list[int]]) -> None:
    opened = tokens("<|channel|>analysis<|message|><|end|><|start|>assistant")
    grammar = turn_grammar([_TOOL], tool_choice="required", opened=opened, reasoning_effort="none")
    assert grammar is not None
    assert json.loads(grammar)["opened"] == opened


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": [7]}, "tools[0]"),
        ({"tools": [{"type": "function"}]}, "tools[0].function"),
        ({"tools": [{"function": {"name": 'f" | TEXT'}}]}, "tools[0].function.name"),
        (
            {"tools": [{"function": {"name": "f", "strict": True, "parameters": 1}}]},
            "tools[0].function.parameters",
        ),
        (
            {"tools": [{"function": {"name": "f", "strict": True, "parameters": {"type": "string"}}}]},
            "tools[0].function.parameters.type",
        ),
        ({"tools": [], "tool_choice": "required"}, "tool_choice"),
        ({"response_format": {"type": "xml"}}, "response_format.type"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": True}}},
            "response_format.json_schema.schema",
        ),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": {"multipleOf": 999_983}}}},
            "response_format.json_schema.schema",
        ),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequestError) as refusal:
        turn_grammar(**fields)
    assert refusal.value.param == param
