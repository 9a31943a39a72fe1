"""The checks of exactness, fed engines that are right and engines that cheat."""

from collections.abc import AsyncGenerator
from dataclasses import replace

import pytest
from typing_extensions import override

from jupyter_mlx_gpt_oss.check.exactness import (
    check_abort,
    check_batched,
    check_cached,
    check_guessed,
    check_restart,
    check_window_edges,
)
from jupyter_mlx_gpt_oss.check.result import Status
from jupyter_mlx_gpt_oss.check.rig import Rig
from jupyter_mlx_gpt_oss.check.runner import Check
from jupyter_mlx_gpt_oss.engine.config import EngineConfig
from jupyter_mlx_gpt_oss.engine.request import GenerationRequest, Progress, TokenLogprobs, TokenOutput
from tests.support.scripted_engine import ScriptedEngine

HELLO = "<|channel|>final<|message|>Hello.<|return|>"
WRONG = "<|channel|>final<|message|>Good evening.<|return|>"


@pytest.mark.parametrize("check", [check_batched, check_window_edges, check_guessed, check_restart])
async def test_an_engine_that_gives_the_same_answers_passes(rig: Rig, check: Check) -> None:
    result = await check(rig)
    assert result.status is Status.PASS
    assert result.figures["num_different"] == 0


@pytest.mark.parametrize(
    "check", [check_batched, check_cached, check_window_edges, check_guessed, check_restart]
)
async def test_an_engine_that_cheats_once_fails(rig: Rig, scripted: ScriptedEngine, check: Check) -> None:
    num_first = 1 if check in {check_cached, check_window_edges} else 0  # whose answer is not compared
    for script in [HELLO] * num_first + [WRONG]:
        scripted.enqueue(script)
    result = await check(rig)
    assert result.status is Status.FAIL
    assert result.figures["num_different"] == 1
    assert "the first at token 4" in result.sentence


async def test_an_answer_that_is_cut_short_fails(rig: Rig, scripted: ScriptedEngine) -> None:
    scripted.enqueue("<|channel|>final")
    assert (await check_restart(rig)).status is Status.FAIL


class DriftingEngine(ScriptedEngine):
    """The right tokens, each a little less likely than it should be."""

    @override
    async def generate(self, request: GenerationRequest) -> AsyncGenerator[Progress | TokenOutput, None]:
        async for item in super().generate(request):
            if isinstance(item, TokenOutput):
                yield replace(item, logprobs=(TokenLogprobs(-0.2),) * len(item.token_ids))


@pytest.mark.parametrize(("device", "status"), [("cpu", Status.FAIL), ("gpu", Status.PASS)])
async def test_log_probabilities_may_drift_on_a_gpu_alone(rig: Rig, device: str, status: Status) -> None:
    for reference in rig.references.values():
        reference.logprobs = [TokenLogprobs(-0.1)] * len(reference.token_ids)
    engine = DriftingEngine(EngineConfig())
    result = await check_restart(replace(rig, model=replace(rig.model, device=device), engine=engine))
    assert result.figures["largest_logprob_drift"] == 0.1
    assert result.status is status


async def test_a_cache_that_keeps_nothing_is_worth_a_warning(rig: Rig, scripted: ScriptedEngine) -> None:
    assert (await check_cached(rig)).status is Status.WARN
    scripted.num_cached_tokens = 399
    assert (await check_cached(rig)).status is Status.PASS


async def test_an_abort_that_ends_the_answer_passes(rig: Rig, scripted: ScriptedEngine) -> None:
    for script in ([HELLO], ["a", " b"], ["a", " b", " c", " d", " e"], [HELLO]):
        scripted.enqueue(*script)
    assert (await check_abort(rig)).status is Status.PASS


async def test_an_abort_that_is_not_heard_fails(rig: Rig) -> None:
    result = await check_abort(rig)  # a script of one step plays to its end
    assert result.status is Status.FAIL
    assert "aborted" in result.sentence


async def test_an_answer_that_an_abort_changes_fails(rig: Rig, scripted: ScriptedEngine) -> None:
    for script in ([WRONG], ["a", " b"], ["a", " b", " c", " d", " e"], [HELLO]):
        scripted.enqueue(*script)
    result = await check_abort(rig)
    assert result.status is Status.FAIL
    assert result.figures["num_different"] == 1
