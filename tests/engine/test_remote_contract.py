"""The stand-in for vLLM refuses what vLLM refuses, so that what it takes means something."""

from typing import Any

import pytest

from tests.support.completion_rules import RULES, RefusalError, check_completion

RIGHT: dict[str, Any] = {
    "model": "m",
    "prompt": [1, 2],
    "max_tokens": 3,
    "stream": True,
    "stream_options": {"include_usage": True},
}


def check(**fields: Any) -> None:
    check_completion({**RIGHT, **fields}, model="m", context_length=10)


def test_a_right_request_is_taken() -> None:
    check()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("prompt", []),
        ("prompt", [-1]),
        ("prompt", [201_088]),
        ("max_tokens", 0),
        ("max_tokens", 9),
        ("temperature", -0.1),
        ("top_p", 0),
        ("top_p", 1.1),
        ("min_p", 2),
        ("top_k", -2),
        ("presence_penalty", 2.1),
        ("frequency_penalty", "1"),
        ("repetition_penalty", 0),
        ("seed", 2**63),
        ("logprobs", 21),
        ("logit_bias", {"x": 1}),
        ("stop_token_ids", [201_088]),
        ("structured_outputs", {"grammar": ""}),
        ("structured_outputs", {"grammar": "start: undefined"}),
        ("structured_outputs", {"grammar": "start: /a/", "regex": "a"}),
        ("cache_salt", ""),
        ("cache_salt", "a/b"),
        ("cache_salt", "x" * 129),
        ("stream", False),
        ("repetition_context_size", 20),
        ("model", "another"),
    ],
)
def test_a_wrong_field_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(RefusalError):
        check(**{name: value})


@pytest.mark.parametrize("name", RULES)
def test_no_field_may_be_null(name: str) -> None:
    with pytest.raises(RefusalError) as raised:
        check(**{name: None})
    assert raised.value.param == name


def test_a_prompt_is_needed() -> None:
    with pytest.raises(RefusalError, match="prompt"):
        check_completion({"model": "m"}, model="m", context_length=10)
