"""Log probabilities of sampled tokens."""

import math

import mlx.core as mx
import numpy as np
import pytest

from jupyter_mlx_gpt_oss.errors import GenerationError
from jupyter_mlx_gpt_oss.worker.head import Logits
from jupyter_mlx_gpt_oss.worker.logprobs import token_logprobs

VALUES = [[2.0, 1.0, 0.0, -1.0], [0.0, 0.0, 3.0, 0.0]]


def test_rows_that_do_not_ask_get_none() -> None:
    assert token_logprobs(Logits(mx.array(VALUES), None), [0, 2], [None, None]) == [(), ()]


def test_the_sampled_token_and_the_likeliest_are_reported() -> None:
    [none, asked] = token_logprobs(Logits(mx.array(VALUES), None), [0, 1], [None, 2])
    assert none == ()
    total = math.log(3 + math.exp(3))
    [report] = asked
    assert report.logprob == pytest.approx(-total, abs=1e-5)
    assert report.top[0][0] == 2
    assert report.top[0][1] == pytest.approx(3 - total, abs=1e-5)
    assert len(report.top) == 2


def test_no_top_tokens_are_reported_where_none_are_wanted() -> None:
    [[report], _] = token_logprobs(Logits(mx.array(VALUES), None), [0, 2], [0, None])
    assert report.top == ()
    assert report.logprob < 0


def test_candidates_that_are_a_part_of_the_vocabulary_keep_their_ids() -> None:
    candidates = np.array([5, 70, 900, 1000])
    [[report], _] = token_logprobs(Logits(mx.array(VALUES), candidates), [70, 5], [1, None])
    assert report.top[0][0] == 5
    assert report.logprob == pytest.approx(report.top[0][1] - 1.0, abs=1e-5)


def test_what_is_no_number_is_an_error() -> None:
    with pytest.raises(GenerationError, match="not numbers"):
        token_logprobs(Logits(mx.array([[math.nan] * 4]), None), [0], [1])
