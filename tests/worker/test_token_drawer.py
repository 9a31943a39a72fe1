"""A head that scores a part of the vocabulary, and a grammar that wants another part of it."""

from dataclasses import dataclass
from typing import Any

import mlx.core as mx
import numpy as np
import pytest

from jupyter_mlx_gpt_oss.engine.request import GenerationRequest
from jupyter_mlx_gpt_oss.engine.sampling import SamplingParams
from jupyter_mlx_gpt_oss.worker import model_loader
from jupyter_mlx_gpt_oss.worker.head import Logits
from jupyter_mlx_gpt_oss.worker.model_step import Row, forward, make_caches
from jupyter_mlx_gpt_oss.worker.sequence import Sequence
from jupyter_mlx_gpt_oss.worker.token_drawer import TokenDrawer

VOCABULARY, HIDDEN = 50, 8
CANDIDATES = np.arange(10)
ROWS = mx.random.normal((HIDDEN, VOCABULARY), key=mx.random.key(0))


@dataclass
class _Model:
    """What a drawer takes of a model."""

    def lm_head(self, hidden: mx.array) -> mx.array:
        return hidden @ ROWS


@dataclass
class _Loaded:
    model: Any
    head: Any


@dataclass
class _OneToken:
    """A grammar by which nothing but one token may follow."""

    token_id: int

    def allowed(self) -> Any:
        return np.arange(VOCABULARY) == self.token_id


def _narrow_head(hidden: mx.array, contexts: Any) -> Logits:
    del contexts
    return Logits(hidden @ ROWS[:, : len(CANDIDATES)], CANDIDATES)


def _sequence(name: str, constraint: _OneToken | None = None) -> Sequence:
    request = GenerationRequest(
        request_id=name,
        prompt_token_ids=(1, 2),
        max_tokens=4,
        stop_token_ids=(),
        sampling=SamplingParams(temperature=0.0),
        num_logprobs=2,
    )
    sequence = Sequence(request, max_tokens=4)
    sequence.constraint = constraint  # type: ignore[assignment]
    return sequence


def test_a_token_that_the_head_did_not_score_has_its_log_probability_of_the_whole_vocabulary() -> None:
    loaded: Any = _Loaded(_Model(), _narrow_head)
    hidden = mx.random.normal((2, HIDDEN), key=mx.random.key(1))
    free, starved = _sequence("free"), _sequence("starved", _OneToken(42))

    drawn = TokenDrawer(loaded).draw(hidden, [free, starved])

    values = np.array(hidden @ ROWS)
    whole = values[1] - np.logaddexp.reduce(values[1])
    token, [report] = drawn[starved]
    assert token == 42
    assert report.logprob == pytest.approx(whole[42], abs=1e-4)
    assert [token_id for token_id, _ in report.top] == list(np.argsort(-whole)[:2])
    part = values[0, :10] - np.logaddexp.reduce(values[0, :10])
    token, [report] = drawn[free]
    assert token == part.argmax()
    assert report.logprob == pytest.approx(part.max(), abs=1e-4)


def test_a_bias_wins_for_a_token_that_the_demo_would_not_score() -> None:
    loaded = model_loader.load(model_loader.DEMO, None, lambda _: None)
    untrained = 11_377  # " Yes", no twin of which is in the prompt
    sampling = SamplingParams(temperature=0.0, logit_bias={untrained: 100.0})
    request = GenerationRequest(
        request_id="a", prompt_token_ids=(200_006, 1428), max_tokens=1, stop_token_ids=(), sampling=sampling
    )
    hidden = forward(loaded.model, [Row(request.prompt_token_ids, make_caches(loaded.model))])
    tokens: Any = TokenDrawer(loaded).begin(hidden, [Sequence(request, max_tokens=1)], 0).tolist()
    assert tokens == [untrained]
