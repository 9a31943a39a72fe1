"""Every field of a raw completion: served, accepted, or refused by its name."""

import inspect
import json
from typing import Any

import pytest
from openai.types import completion_create_params

from jupyter_mlx_gpt_oss.errors import InvalidRequestError, RequestError, UnsupportedFeatureError
from jupyter_mlx_gpt_oss.protocol.completions import (
    ACCEPTED_FIELDS,
    MAX_ANSWERS,
    REFUSED_FIELDS,
    CompletionRequest,
)


def request_of(**fields: Any) -> CompletionRequest:
    return CompletionRequest.from_json(json.dumps(fields).encode())


@pytest.mark.parametrize(
    ("prompt", "prompts"),
    [
        (None, [""]),
        ("", [""]),
        ("a", ["a"]),
        (["a", "b"], ["a", "b"]),
        ([1, 2], [[1, 2]]),
        ([[1, 2], [3]], [[1, 2], [3]]),
    ],
)
def test_a_prompt_is_text_or_ids_or_several(prompt: Any, prompts: list[Any]) -> None:
    assert request_of(prompt=prompt).prompts == prompts


@pytest.mark.parametrize(
    "prompt", [[], [[]], ["a", 1], [1, "a"], [1.5], [True], [-1], [201_088], {"a": 1}, 5, [[1], "a"], [None]]
)
def test_another_prompt_is_refused_by_name(prompt: Any) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        request_of(prompt=prompt)
    assert (caught.value.param or "").startswith("prompt")


def test_a_long_wrong_prompt_gives_one_error_and_not_one_for_each_item() -> None:
    with pytest.raises(InvalidRequestError) as caught:
        request_of(prompt=[0.5] * 100_000)
    assert len(caught.value.message) < 300


def test_openais_defaults_hold() -> None:
    request = request_of(prompt="a")
    assert (request.token_limit, request.logprobs, request.echo) == (16, None, None)


def test_every_field_of_the_openai_client_is_known() -> None:
    source = inspect.get_annotations(completion_create_params.CompletionCreateParamsBase)
    known = set(CompletionRequest.model_fields) | ACCEPTED_FIELDS | REFUSED_FIELDS.keys()
    assert set(source) <= known


@pytest.mark.parametrize("name", sorted(ACCEPTED_FIELDS))
def test_a_hint_is_accepted(name: str) -> None:
    request_of(prompt="a", **{name: "anything"})


@pytest.mark.parametrize("name", sorted(REFUSED_FIELDS))
def test_an_unserved_field_is_refused_by_name_unless_it_is_off(name: str) -> None:
    for off in REFUSED_FIELDS[name]:
        request_of(prompt="a", **{name: off})
    with pytest.raises(UnsupportedFeatureError) as caught:
        request_of(prompt="a", **{name: "something"})
    assert caught.value.param == name


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"best_of": 3}, "best_of"),
        ({"echo": True, "logprobs": 0}, "echo"),
        ({"n": 9}, "n"),
        ({"prompt": ["a"] * (MAX_ANSWERS + 1)}, "prompt"),
        ({"prompt": ["a"] * 20, "n": 4}, "prompt"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"logprobs": 21}, "logprobs"),
        ({"logprobs": True}, "logprobs"),
        ({"stop_token_ids": [-1]}, "stop_token_ids[0]"),
        ({"logit_bias": {"foo": 1}}, "logit_bias"),
        ({"unknown": 1}, "unknown"),
        ({"guided_json": {}}, "guided_json"),
        ({"structured_outputs": {}}, "structured_outputs"),
        ({"structured_outputs": {"regex": "a", "choice": ["a"]}}, "structured_outputs"),
        ({"structured_outputs": {"choice": []}}, "structured_outputs.choice"),
        ({"structured_outputs": {"structural_tag": "{}"}}, "structured_outputs.structural_tag"),
        (
            {"structured_outputs": {"json_object": True}, "response_format": {"type": "json_object"}},
            "structured_outputs",
        ),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        ({"response_format": {"type": "structural_tag"}}, "response_format.type"),
    ],
)
def test_what_cannot_be_served_is_refused_by_name(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(RequestError) as caught:
        request_of(**{"prompt": "a", **fields})
    assert caught.value.param == param


def test_best_of_as_many_as_n_asks_for_nothing() -> None:
    assert request_of(prompt="a", n=2, best_of=2).n == 2
    assert request_of(prompt="a", best_of=1).n is None


def test_a_lone_surrogate_becomes_one_character() -> None:
    assert CompletionRequest.from_json(rb'{"prompt": "a\ud800b", "stop": "\udfff"}').prompts == ["a\ufffdb"]
