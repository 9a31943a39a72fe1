"""Limits that hold themselves to a range."""

import pytest

from jupyter_mlx_gpt_oss.serving.config import ServingConfig


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("max_prompt_bytes", 0, "above 0"),
        ("max_response_items", 0, "above 0"),
        ("max_loading_wait_seconds", -1, "at least 0"),
        ("stored_responses_max_items", -1, "at least 0"),
    ],
)
def test_a_limit_out_of_range_is_refused(name: str, value: int, words: str) -> None:
    with pytest.raises(ValueError, match=f"{name}.*{words}"):
        ServingConfig(**{name: value})  # type: ignore[arg-type]
    assert getattr(ServingConfig(**{name: 1}), name) == 1  # type: ignore[arg-type]
