"""What the checks of speed make of what they measured."""

from dataclasses import replace

import pytest
from typing_extensions import override

from jupyter_mlx_gpt_oss.check.answer import Answer
from jupyter_mlx_gpt_oss.check.result import Status
from jupyter_mlx_gpt_oss.check.rig import Rig
from jupyter_mlx_gpt_oss.check.speed import check_decode, check_memory, check_prefill, judge_gaps
from jupyter_mlx_gpt_oss.engine.base import EngineStatus
from jupyter_mlx_gpt_oss.engine.config import EngineConfig
from tests.support.scripted_engine import ScriptedEngine

SENTENCE = "<|channel|>final<|message|>" + " word" * 40


class FullEngine(ScriptedEngine):
    """Takes nearly all of 16 GiB."""

    @override
    def status(self) -> EngineStatus:
        return replace(super().status(), memory_bytes=15 * 2**30)


def stream(*gaps: float) -> Answer:
    """An answer whose first token came at 0 s, and whose others came so much after one another."""
    times = [sum(gaps[:count]) for count in range(len(gaps) + 1)]
    return Answer(asked_at=-1.0, token_ids=[0] * len(times), times=times)


def read(start: float, end: float, *chunk_tokens: int) -> Answer:
    """A prompt that was read from one time to another."""
    return Answer(asked_at=start, token_ids=[0], times=[end], chunk_tokens=list(chunk_tokens))


def test_a_long_gap_beside_a_prompt_is_worth_a_warning() -> None:
    result = judge_gaps(stream(0.01, 0.01, 0.4, 0.1), read(0.015, 0.5, 64, 32))
    assert result.status is Status.WARN
    assert result.figures["longest_gap_seconds"] == 0.4
    assert result.figures["usual_gap_seconds"] == 0.01
    assert result.figures["largest_chunk_tokens"] == 64


def test_gaps_within_the_bound_pass() -> None:
    assert judge_gaps(stream(0.01, 0.01, 0.24, 0.2), read(0.015, 0.5)).status is Status.PASS


def test_a_machine_that_is_slow_anyway_is_not_blamed_on_the_prompt() -> None:
    assert judge_gaps(stream(0.4, 0.4, 0.5, 0.5), read(0.9, 2.0)).status is Status.PASS


def test_a_stream_that_stands_still_meanwhile_is_worth_a_warning() -> None:
    assert judge_gaps(stream(0.01, 0.01), read(0.5, 2.0)).status is Status.WARN


async def test_a_cpu_has_no_limit_to_compare_with(rig: Rig, scripted: ScriptedEngine) -> None:
    for _ in range(13):
        scripted.enqueue(SENTENCE)
    result = await check_decode(replace(rig, bytes_per_token=2_560_000_000))
    assert result.status is Status.PASS
    assert result.figures["share_of_limit"] is None


async def test_a_gpu_is_compared_with_its_memory(rig: Rig, scripted: ScriptedEngine) -> None:
    on_gpu = replace(rig, model=replace(rig.model, device="gpu"), bytes_per_token=2_560_000_000)
    assert on_gpu.max_tokens_per_second == pytest.approx(26.6, abs=0.1), "an M1 with gpt-oss-20b"
    for _ in range(13):
        scripted.enqueue(SENTENCE)
    result = await check_decode(on_gpu)
    assert result.figures["limit_tokens_per_second"] == 26.6
    assert "of what the memory allows" in result.sentence


async def test_a_stream_far_below_the_limit_is_worth_a_warning(rig: Rig, scripted: ScriptedEngine) -> None:
    for _ in range(13):
        scripted.enqueue(SENTENCE)
    tiny = replace(rig, model=replace(rig.model, device="gpu"), bytes_per_token=1)
    assert (await check_decode(tiny)).status is Status.WARN


async def test_reading_a_prompt_is_compared_with_the_memory_of_a_gpu(
    rig: Rig, scripted: ScriptedEngine
) -> None:
    for _ in range(3):
        scripted.enqueue(SENTENCE)
    model = replace(rig.model, device="gpu", weight_bytes=68_000_000_000)
    result = await check_prefill(replace(rig, model=model))
    chunk = result.figures["largest_chunk_tokens"]
    assert result.figures["limit_tokens_per_second"] == chunk  # an M1 reads these weights once a second
    assert "the memory allows" in result.sentence


async def test_memory_that_runs_short_is_worth_a_warning(rig: Rig) -> None:
    assert (await check_memory(rig)).status is Status.PASS
    result = await check_memory(replace(rig, engine=FullEngine(EngineConfig())))
    assert result.status is Status.WARN
    assert "choose a smaller" in result.sentence
