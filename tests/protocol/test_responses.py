"""Every field that the openai package can send is accepted or refused by name."""

import json
from typing import Any, get_type_hints

import pytest
from openai.types.responses import response_create_params

from jupyter_mlx_gpt_oss.errors import InvalidRequestError, UnsupportedFeatureError
from jupyter_mlx_gpt_oss.protocol.responses import ACCEPTED_FIELDS, REFUSED_FIELDS, ResponsesRequest

SENT = {
    name
    for params in (
        response_create_params.ResponseCreateParamsNonStreaming,
        response_create_params.ResponseCreateParamsStreaming,
    )
    for name in params.__annotations__
} | set(get_type_hints(response_create_params.ResponseCreateParamsBase))


def read(**fields: Any) -> ResponsesRequest:
    return ResponsesRequest.from_json(json.dumps(fields).encode())


def test_every_field_of_the_openai_package_is_known() -> None:
    known = set(ResponsesRequest.model_fields) | ACCEPTED_FIELDS | REFUSED_FIELDS.keys()
    assert SENT - known == set()


@pytest.mark.parametrize("name", sorted(REFUSED_FIELDS))
def test_a_field_that_is_not_served_is_refused_by_name(name: str) -> None:
    assert read(input="Hi", **{name: None}).items[0]["content"] == "Hi"
    with pytest.raises(UnsupportedFeatureError) as error:
        read(input="Hi", **{name: True})
    assert error.value.param == name


@pytest.mark.parametrize("name", sorted(ACCEPTED_FIELDS))
def test_a_field_without_effect_is_taken(name: str) -> None:
    read(input="Hi", **{name: "x"})


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": 1}, "input"),
        ({"include": ["everything"]}, "include[0]"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"metadata": {"a": 1}}, "metadata.a"),
        ({"reasoning": {"effort": "extreme"}}, "reasoning.effort"),
        ({"temperature": 3}, "temperature"),
        ({"top_logprobs": 21}, "top_logprobs"),
        ({"truncation": "middle"}, "truncation"),
        ({"unheard_of": 1}, "unheard_of"),
    ],
)
def test_a_field_at_fault_is_named(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequestError) as error:
        read(**{"input": "Hi", **fields})
    assert error.value.param == param
