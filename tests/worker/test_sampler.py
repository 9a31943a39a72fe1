"""Each row of a batch is drawn by its own parameters."""

from collections import Counter
from dataclasses import replace

import mlx.core as mx
import numpy as np
import pytest

from jupyter_mlx_gpt_oss.engine.sampling import SamplingParams
from jupyter_mlx_gpt_oss.worker import sampler
from jupyter_mlx_gpt_oss.worker.head import Logits
from jupyter_mlx_gpt_oss.worker.sampler import SamplingRow, sample

LOGITS = [2.0, 1.0, 0.0, -1.0, 0.5, -3.0]


def _row(
    sampling: SamplingParams,
    seed: int = 0,
    output: tuple[int, ...] = (),
    recent: tuple[int, ...] = (),
) -> SamplingRow:
    return SamplingRow(
        sampling=replace(sampling, seed=seed),
        position=len(output),
        output_counts=Counter(output),
        recent_token_ids=recent,
    )


def _draw(rows: list[SamplingRow], logits: list[float] | None = None) -> list[int]:
    values = mx.array([logits or LOGITS] * len(rows))
    tokens = sample(Logits(values, None), rows).tolist()
    assert isinstance(tokens, list)
    return [int(str(token)) for token in tokens]


def _frequencies(sampling: SamplingParams, draws: int = 4000) -> dict[int, float]:
    counts = Counter(_draw([_row(sampling, seed) for seed in range(draws)]))
    return {token: count / draws for token, count in counts.items()}


def test_temperature_zero_takes_the_most_likely() -> None:
    assert _draw([_row(SamplingParams(temperature=0.0), seed) for seed in range(5)]) == [0] * 5


def test_draws_follow_the_softmax_of_the_logits() -> None:
    expected = np.exp(LOGITS) / np.exp(LOGITS).sum()
    frequencies = _frequencies(SamplingParams())
    for token, probability in enumerate(expected):
        assert frequencies.get(token, 0.0) == pytest.approx(probability, abs=0.03)


def test_a_temperature_flattens_the_draws() -> None:
    expected = np.exp(np.array(LOGITS) / 2) / np.exp(np.array(LOGITS) / 2).sum()
    assert _frequencies(SamplingParams(temperature=2.0))[0] == pytest.approx(expected[0], abs=0.03)


def test_the_only_candidate_is_drawn_however_its_noise_falls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampler, "_mix", lambda x: mx.full(x.shape, 0xFFFFFFFF, mx.uint32))
    assert _draw([_row(SamplingParams())], [-np.inf, -np.inf, 1.0, -np.inf]) == [2]


def test_top_p_keeps_the_smallest_set_that_reaches_it() -> None:
    # Probabilities 0.56, 0.21, 0.13, 0.08, ...: two tokens reach 0.7, three reach 0.8.
    assert set(_frequencies(SamplingParams(top_p=0.7))) == {0, 1}
    assert set(_frequencies(SamplingParams(top_p=0.8))) == {0, 1, 4}
    assert set(_frequencies(SamplingParams(top_p=1e-6))) == {0}


def test_min_p_keeps_what_is_likely_enough_beside_the_best() -> None:
    assert set(_frequencies(SamplingParams(min_p=0.3))) == {0, 1}
    assert set(_frequencies(SamplingParams(min_p=1.0))) == {0}


def test_rows_do_not_touch_each_other() -> None:
    greedy = _row(SamplingParams(temperature=0.0))
    narrow = _row(SamplingParams(top_p=0.01), seed=3)
    free = [_row(SamplingParams(temperature=5.0), seed=seed) for seed in range(30)]
    mixed = _draw([greedy, narrow, *free])
    assert mixed[:2] == [0, 0]
    assert mixed[2:] == [_draw([row])[0] for row in free]


def test_the_draw_does_not_depend_on_which_other_tokens_are_candidates() -> None:
    rows = [_row(SamplingParams(), seed) for seed in range(50)]
    candidates = np.array([0, 1, 4])
    values = mx.array([[LOGITS[i] for i in candidates]] * len(rows))
    some = sample(Logits(values, candidates), rows).tolist()
    masked = [value if i in candidates else -1e9 for i, value in enumerate(LOGITS)]
    assert some == _draw(rows, masked)


def test_the_position_in_the_answer_changes_the_draw() -> None:
    sampling = SamplingParams(temperature=5.0, seed=1)
    draws = {_draw([_row(sampling, 1, output=(9,) * position)])[0] for position in range(40)}
    assert len(draws) > 2


def test_logit_bias_forbids_and_forces_tokens() -> None:
    assert _draw([_row(SamplingParams(temperature=0.0, logit_bias={0: -100.0}))]) == [1]
    assert _draw([_row(SamplingParams(temperature=0.0, logit_bias={5: 100.0, 999: 5.0}))]) == [5]


def test_penalties_lower_what_was_generated() -> None:
    presence = SamplingParams(temperature=0.0, presence_penalty=1.5)
    frequency = SamplingParams(temperature=0.0, frequency_penalty=0.6)
    repetition = SamplingParams(temperature=0.0, repetition_penalty=3.0)
    assert _draw([_row(presence, output=(0,))]) == [1]
    assert _draw([_row(frequency, output=(0,)), _row(frequency, output=(0, 0))]) == [0, 1]
    assert _draw([_row(repetition, recent=(0,)), _row(repetition)]) == [1, 0]
    assert _draw([_row(repetition, recent=(0,))], [-1.0, -2.0]) == [1]


def test_a_small_penalty_counts_beside_a_large_logit_of_16_bits() -> None:
    logits = Logits(mx.array([[20.0, 20.0]], dtype=mx.bfloat16), None)
    presence = SamplingParams(temperature=0.0, presence_penalty=0.06)
    assert sample(logits, [_row(presence, output=(0,))]).tolist() == [1]


def test_penalties_leave_the_logits_as_they_are_for_whoever_reads_them_next() -> None:
    logits = Logits(mx.array([LOGITS]), None)
    penalised = SamplingParams(
        temperature=0.0, repetition_penalty=3.0, presence_penalty=1.0, logit_bias={3: 50.0}
    )
    assert sample(logits, [_row(penalised, output=(0,), recent=(0, 1))]).tolist() == [3]
    assert logits.values.tolist() == [LOGITS]
