"""Schemas that would hold the engine too long, or kill it, are refused before they are compiled."""

from typing import Any

import pytest

from jupyter_mlx_gpt_oss.errors import InvalidRequestError
from jupyter_mlx_gpt_oss.harmony.schema_limits import MAX_CHARS, SchemaLimits


def _chain(num_definitions: int) -> dict[str, Any]:
    definitions: dict[str, Any] = {
        f"d{index}": {"properties": {"next": {"$ref": f"#/$defs/d{index + 1}"}}}
        for index in range(num_definitions)
    }
    definitions[f"d{num_definitions}"] = {"type": "object"}
    return {"$defs": definitions, "$ref": "#/$defs/d0"}


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"enum": ["x" * MAX_CHARS]}, "characters"),
        ({"patternProperties": {f"^{index}$": {} for index in range(51)}}, "patternProperties"),
        ({"properties": {"n": {"multipleOf": 999_983}}}, "multipleOf"),
        ({"properties": {"n": {"multipleOf": 123.4567}}}, "multipleOf"),
        ({"allOf": [{"multipleOf": 97}, {"multipleOf": 101}, {"multipleOf": 103}]}, "multipleOf"),
        (_chain(800), r"\$ref"),
    ],
)
def test_a_costly_schema_is_refused_by_its_keyword(schema: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidRequestError, match=f"tools.*{reason}") as refusal:
        SchemaLimits().add(schema, "tools[3].function.parameters")
    assert refusal.value.param == "tools[3].function.parameters"


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"multipleOf": 0.01},
        {"multipleOf": 1e-300},
        {"multipleOf": "x"},
        {"multipleOf": True},
        {"allOf": [{"multipleOf": 5}, {"multipleOf": 100}]},
        {"properties": {"patternProperties": {"type": "string"}, "multipleOf": {"type": "number"}}},
        {"patternProperties": 3, "examples": [[1, 2]]},
        _chain(50),
    ],
)
def test_an_ordinary_schema_passes(schema: dict[str, Any]) -> None:
    SchemaLimits().add(schema, "schema")


def test_numbers_without_end_are_not_multiplied() -> None:
    numbers = [{"multipleOf": 10**1_000 + 2 * index + 1} for index in range(1_000)]
    with pytest.raises(InvalidRequestError, match="characters"):
        SchemaLimits().add({"allOf": numbers}, "schema")


def test_the_schemas_of_a_request_count_together() -> None:
    limits = SchemaLimits()
    limits.add({"enum": ["x" * (MAX_CHARS // 2)]}, "first")
    with pytest.raises(InvalidRequestError, match="second"):
        limits.add({"enum": ["x" * (MAX_CHARS // 2)]}, "second")


def test_a_schema_that_is_not_json_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="JSON"):
        SchemaLimits().add({"minimum": float("nan")}, "schema")
