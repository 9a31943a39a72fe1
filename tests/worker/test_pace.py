"""How much of a prompt a step may read."""

from collections.abc import Sequence as Several
from itertools import pairwise
from pathlib import Path
from typing import Any

import mlx.core as mx
import pytest
from mlx_lm.utils import load_model

from jupyter_mlx_gpt_oss.engine.config import EngineConfig
from jupyter_mlx_gpt_oss.worker.pace import Pace
from jupyter_mlx_gpt_oss.worker.scheduler import Chunk
from tests.support.loop_caller import VOCABULARY, Caller


def _pace() -> Pace:
    return Pace(max_tokens=2048, max_gap_seconds=0.25, max_step_seconds=1.0)


def test_the_first_chunk_is_small_because_nothing_is_known() -> None:
    assert _pace().prefill_tokens(num_decoding=0) == 64


def test_alone_a_chunk_takes_as_long_as_a_step_may() -> None:
    pace = _pace()
    pace.note(num_prefill_tokens=64, num_decoding=0, seconds=0.064)
    assert pace.prefill_tokens(num_decoding=0) == 1000


def test_beside_running_answers_a_chunk_and_their_tokens_take_no_longer_than_the_gap() -> None:
    pace = _pace()
    pace.note(num_prefill_tokens=64, num_decoding=0, seconds=0.064)
    for _ in range(40):
        pace.note(num_prefill_tokens=0, num_decoding=3, seconds=0.05)
    # The 250 ms with two fifths to spare, less the 50.
    assert 126 <= pace.prefill_tokens(num_decoding=3) <= 131


def _steps(pace: Pace, number: int, *, slowness: float = 1.0) -> list[float]:
    """Seconds of steps in which three answers and their prompt take `slowness` times what such a machine takes."""
    took = []
    for _ in range(number):
        num_tokens = pace.prefill_tokens(num_decoding=3)
        took.append(slowness * (0.05 + 0.001 * num_tokens))
        pace.note(num_prefill_tokens=num_tokens, num_decoding=3, seconds=took[-1])
    return took


def test_where_a_step_took_longer_than_expected_the_next_that_does_keeps_the_gap() -> None:
    pace = _pace()
    pace.note(num_prefill_tokens=64, num_decoding=0, seconds=0.064)
    for _ in range(40):
        pace.note(num_prefill_tokens=0, num_decoding=3, seconds=0.05)
    (surprise,) = _steps(pace, 1, slowness=1.5)
    _steps(pace, 60)
    assert _steps(pace, 1, slowness=1.5)[0] <= 0.251 < surprise  # chunks are whole tokens
    quiet = _steps(pace, 200)
    assert quiet[-1] == pytest.approx(0.25 / 1.4, rel=0.02)  # it is forgotten


def test_what_was_slow_while_nobody_waited_leaves_no_more_to_spare() -> None:
    pace = _pace()
    pace.note(num_prefill_tokens=64, num_decoding=0, seconds=0.064)
    for _ in range(40):
        pace.note(num_prefill_tokens=0, num_decoding=3, seconds=0.05)
    pace.note(num_prefill_tokens=1000, num_decoding=0, seconds=3.0)
    for _ in range(30):
        pace.note(num_prefill_tokens=1000, num_decoding=0, seconds=1.0)
    assert 126 <= pace.prefill_tokens(num_decoding=3) <= 131


def test_where_answers_alone_take_longer_than_the_gap_prompts_and_answers_take_turns() -> None:
    pace = _pace()
    pace.note(num_prefill_tokens=100, num_decoding=0, seconds=0.5)
    for _ in range(40):
        pace.note(num_prefill_tokens=0, num_decoding=4, seconds=0.7)
    assert pace.prefill_tokens(num_decoding=4) == 200  # a second
    pace.note(num_prefill_tokens=200, num_decoding=4, seconds=1.7)
    turns = []
    for _ in range(4):
        turns.append(pace.prefill_tokens(num_decoding=4))
        pace.note(num_prefill_tokens=turns[-1], num_decoding=4, seconds=0.7 + 0.005 * turns[-1])
    assert [bool(tokens) for tokens in turns] == [False, False, True, False]
    assert pace.prefill_tokens(num_decoding=0) > 0  # once the answers have ended, prompts owe nothing


def test_what_nobody_has_asked_for_is_read_in_steps_that_hold_up_nobody() -> None:
    pace = _pace()
    assert pace.ahead_tokens() == 64
    pace.note(num_prefill_tokens=100, num_decoding=0, seconds=0.1)
    assert 25 <= pace.ahead_tokens() <= 30


def test_a_slower_step_counts_at_once_and_a_faster_one_slowly() -> None:
    pace = _pace()
    pace.note(num_prefill_tokens=100, num_decoding=0, seconds=0.1)
    pace.note(num_prefill_tokens=100, num_decoding=0, seconds=0.5)
    assert pace.prefill_tokens(num_decoding=0) == 200
    pace.note(num_prefill_tokens=200, num_decoding=0, seconds=0.2)
    assert 200 < pace.prefill_tokens(num_decoding=0) < 300


def test_however_slow_a_machine_is_a_prompt_moves_and_however_fast_a_chunk_is_bounded() -> None:
    slow, fast = _pace(), _pace()
    slow.note(num_prefill_tokens=1, num_decoding=0, seconds=30.0)
    fast.note(num_prefill_tokens=2048, num_decoding=0, seconds=1e-6)
    assert slow.prefill_tokens(num_decoding=1) == 2
    assert fast.prefill_tokens(num_decoding=0) == 2048


def test_where_answers_take_nearly_the_gap_a_prompt_gets_half_of_what_is_left() -> None:
    pace = _pace()
    pace.note(num_prefill_tokens=64, num_decoding=0, seconds=0.064)
    pace.note(num_prefill_tokens=0, num_decoding=1, seconds=0.23)
    assert 9 <= pace.prefill_tokens(num_decoding=1) <= 10


def test_where_not_even_two_prompt_tokens_fit_into_the_gap_prompts_have_a_turn_that_pays() -> None:
    pace = _pace()
    pace.note(num_prefill_tokens=100, num_decoding=0, seconds=7.0)
    for _ in range(40):
        pace.note(num_prefill_tokens=0, num_decoding=3, seconds=0.2)
    assert pace.prefill_tokens(num_decoding=3) == 128


@pytest.mark.parametrize("num_prefill_tokens", [1, 400])
def test_a_chunk_that_is_small_because_little_was_left_says_nothing(num_prefill_tokens: int) -> None:
    pace = _pace()
    pace.note(num_prefill_tokens=64, num_decoding=0, seconds=0.064)
    assert pace.prefill_tokens(num_decoding=0) == 1000
    pace.note(num_prefill_tokens=num_prefill_tokens, num_decoding=0, seconds=2e-3 * num_prefill_tokens)
    assert pace.prefill_tokens(num_decoding=0) == 1000


def test_answers_that_join_or_end_while_a_prompt_is_read_change_its_chunks() -> None:
    pace = _pace()

    def step(num_decoding: int) -> float:
        """Ten milliseconds for each prompt token, a tenth of a second for each that decodes."""
        num_tokens = pace.prefill_tokens(num_decoding)
        seconds = 0.1 * num_decoding + 0.01 * num_tokens
        pace.note(num_prefill_tokens=num_tokens, num_decoding=num_decoding, seconds=seconds)
        return seconds

    pace.note(num_prefill_tokens=100, num_decoding=0, seconds=1.0)
    pace.note(num_prefill_tokens=0, num_decoding=6, seconds=0.6)
    assert {round(seconds, 1) for seconds in (step(6) for _ in range(20))} == {0.6, 1.9}
    assert 0.17 < [step(1) for _ in range(20)][-1] < 0.25
    assert {round(seconds, 1) for seconds in (step(3) for _ in range(20))} == {0.3, 1.6}


class _SlowRunner:
    """A runner by whose clock each token takes ten milliseconds."""

    def __init__(self, runner: Any) -> None:
        self._runner = runner
        self.now = 0.0
        self.steps: list[list[int]] = []
        """Tokens of each sequence, for each step."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._runner, name)

    def run(self, chunks: Several[Chunk], *, goes_on: bool) -> Any:
        self.steps.append([chunk.num_tokens for chunk in chunks])
        self.now += 0.01 * sum(self.steps[-1])
        return self._runner.run(chunks, goes_on=goes_on)


def test_no_running_answer_waits_longer_than_the_gap_while_a_prompt_is_read(tiny_checkpoint: Path) -> None:
    model, _ = load_model(tiny_checkpoint)
    model.set_dtype(mx.float32)
    caller = Caller(model, EngineConfig(max_token_gap_seconds=0.25, prompt_lookup_tokens=0))
    loop: Any = caller.loop
    loop._runner = runner = _SlowRunner(loop._runner)
    loop._clock = lambda: runner.now
    for number in range(3):
        caller.add(f"running {number}", [number, 5, 7], max_tokens=80)
    for _ in range(10):
        loop.step()
    runner.steps.clear()
    caller.add("long", [index * 31 % VOCABULARY for index in range(600)], max_tokens=1)

    caller.run()

    beside = [step for step in runner.steps if len(step) == 4]
    assert sum(step[-1] for step in beside) == 600
    assert max(sum(step) for step in beside) <= 25  # of ten milliseconds
    assert all(step[-1] >= 15 for step in beside[1:-1])  # and no smaller than that asks for


def test_where_no_chunk_keeps_the_gap_prompts_and_answers_take_turns(tiny_checkpoint: Path) -> None:
    model, _ = load_model(tiny_checkpoint)
    model.set_dtype(mx.float32)
    caller = Caller(model, EngineConfig(max_token_gap_seconds=0.01))
    loop: Any = caller.loop
    loop._runner = runner = _SlowRunner(loop._runner)
    loop._clock = lambda: runner.now
    expected = Caller(model, EngineConfig())
    for each in (caller, expected):
        each.add("running", [1, 5, 7] * 20, max_tokens=400)
    for _ in range(10):
        loop.step()
    for each in (caller, expected):
        each.add("long", [index * 31 % VOCABULARY for index in range(600)], max_tokens=20)
    runner.steps.clear()

    caller.run()
    expected.run()

    assert caller.tokens == expected.tokens
    sizes = [sum(step[1:]) for step in runner.steps]
    chunks = [index for index, size in enumerate(sizes) if size > 1]
    assert all(sizes[index] == 128 for index in chunks[:-1])  # what pays
    gaps = [later - earlier for earlier, later in pairwise(chunks)]
    assert all(
        128 <= gap <= 130 for gap in gaps
    )  # then as long for the answers, a hundredth of a second each
