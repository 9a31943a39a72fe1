"""When two answers count as the same one."""

import pytest

from jupyter_mlx_gpt_oss.check.answer import Answer
from jupyter_mlx_gpt_oss.check.likeness import TOLERANCES, compare
from jupyter_mlx_gpt_oss.engine.request import TokenLogprobs


def answer(*token_ids: int, logprobs: list[TokenLogprobs] | None = None) -> Answer:
    return Answer(asked_at=0.0, token_ids=list(token_ids), logprobs=logprobs or [])


def second_candidate(token_id: int, gap: float) -> list[TokenLogprobs]:
    """Log probabilities of the tokens 1 and 2, where another token was nearly as likely as 2."""
    return [TokenLogprobs(-0.1), TokenLogprobs(-0.7, ((2, -0.7), (token_id, -0.7 - gap)))]


def test_equal_tokens_are_exact() -> None:
    likeness = compare(answer(1, 2), answer(1, 2))
    assert likeness.is_whole
    assert likeness.is_exact(TOLERANCES["cpu"])


@pytest.mark.parametrize(
    ("gap", "on_cpu", "on_gpu"), [(0.04, True, True), (0.2, False, True), (0.3, False, False)]
)
def test_a_difference_is_exact_at_a_near_tie_alone(gap: float, on_cpu: bool, on_gpu: bool) -> None:
    likeness = compare(answer(1, 2, logprobs=second_candidate(9, gap)), answer(1, 9))
    assert likeness.num_equal_tokens == 1
    assert likeness.gap == pytest.approx(gap)
    assert likeness.is_exact(TOLERANCES["cpu"]) is on_cpu
    assert likeness.is_exact(TOLERANCES["gpu"]) is on_gpu


def test_a_token_that_was_no_candidate_is_no_near_tie() -> None:
    likeness = compare(answer(1, 2, logprobs=second_candidate(9, 0.0)), answer(1, 8))
    assert likeness.gap is None
    assert not likeness.is_exact(TOLERANCES["gpu"])


@pytest.mark.parametrize("other", [answer(1), answer(1, 2, 3), answer()])
def test_an_answer_of_another_length_is_not_exact(other: Answer) -> None:
    reference = answer(1, 2, logprobs=second_candidate(9, 0.0))
    assert not compare(reference, other).is_exact(TOLERANCES["gpu"])


def test_the_drift_is_the_largest_of_the_equal_tokens() -> None:
    ours = [TokenLogprobs(-0.1), TokenLogprobs(-0.2), TokenLogprobs(-9.0)]
    theirs = [TokenLogprobs(-0.1), TokenLogprobs(-0.5), TokenLogprobs(-0.1)]
    likeness = compare(answer(1, 2, 3, logprobs=ours), answer(1, 2, 4, logprobs=theirs))
    assert likeness.drift == pytest.approx(0.3)
