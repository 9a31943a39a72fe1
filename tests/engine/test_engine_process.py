"""The engine as its callers see it, over a real worker with a tiny random checkpoint."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from jupyter_mlx_gpt_oss.engine.base import EngineState
from jupyter_mlx_gpt_oss.engine.config import EngineConfig
from jupyter_mlx_gpt_oss.engine.engine_process import EngineProcess
from jupyter_mlx_gpt_oss.engine.request import (
    FinishReason,
    GenerationRequest,
    Progress,
    ProgressStage,
    TokenOutput,
)
from jupyter_mlx_gpt_oss.engine.sampling import SamplingParams
from jupyter_mlx_gpt_oss.engine.worker_connection import WorkerConnection
from jupyter_mlx_gpt_oss.errors import (
    ContextLengthError,
    EngineDeadError,
    InvalidRequestError,
    ModelLoadError,
    QueueFullError,
)
from tests.support.engine_caller import until
from tests.support.processes import engine_workers

Run = Callable[[EngineProcess], Awaitable[None]]


def _request(
    name: str = "r",
    *,
    prompt: tuple[int, ...] = (1, 2, 3),
    max_tokens: int = 20,
    stop: tuple[int, ...] = (),
    sampling: SamplingParams | None = None,
) -> GenerationRequest:
    return GenerationRequest(
        request_id=name,
        prompt_token_ids=prompt,
        max_tokens=max_tokens,
        stop_token_ids=stop,
        sampling=sampling or SamplingParams(temperature=0.0),
    )


async def _tokens(engine: EngineProcess, request: GenerationRequest) -> tuple[list[int], FinishReason | None]:
    token_ids: list[int] = []
    finish_reason = None
    async for output in engine.generate(request):
        if isinstance(output, TokenOutput):
            token_ids += output.token_ids
            finish_reason = output.finish_reason
    return token_ids, finish_reason


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module")
def engine(runner: asyncio.Runner, tiny_checkpoint: Path) -> Iterator[EngineProcess]:
    """One engine for the tests that leave it as good as new."""
    engine = EngineProcess(EngineConfig(model=str(tiny_checkpoint)))
    yield engine
    runner.run(engine.stop())
    assert _workers() == []


def _with_own_engine(runner: asyncio.Runner, run: Run, config: EngineConfig) -> None:
    """Run a test with an engine of its own, and see that it leaves no process behind."""
    before = _workers()

    async def main() -> None:
        engine = EngineProcess(config)
        try:
            await asyncio.wait_for(run(engine), 120)
        finally:
            await engine.stop()

    runner.run(main())
    assert _workers() == before


async def _kill_at_each_token(outputs: AsyncIterator[Progress | TokenOutput]) -> None:
    async for output in outputs:
        if isinstance(output, TokenOutput):
            for worker in _workers():
                worker.kill()


def _workers() -> list[psutil.Process]:
    return engine_workers(psutil.Process())


def test_nothing_is_started_before_the_first_request() -> None:
    assert EngineProcess(EngineConfig()).status().state is EngineState.UNLOADED
    assert _workers() == []


def test_an_answer_ends_at_max_tokens_and_progress_comes_first(
    runner: asyncio.Runner, engine: EngineProcess
) -> None:
    async def run() -> None:
        outputs = [output async for output in engine.generate(_request(max_tokens=5))]
        first_token = next(i for i, output in enumerate(outputs) if isinstance(output, TokenOutput))
        assert all(isinstance(output, Progress) for output in outputs[:first_token])
        stages = [output.stage for output in outputs if isinstance(output, Progress)]
        assert ProgressStage.LOADING in stages
        tokens = [output for output in outputs if isinstance(output, TokenOutput)]
        assert [output.finish_reason for output in tokens] == [None] * 4 + [FinishReason.LENGTH]
        status = engine.status()
        assert status.state is EngineState.READY
        assert status.model is not None
        assert status.model.context_length == 131_072
        assert status.model.quantization == "mxfp4 experts, 8-bit rest"
        assert (status.num_running, status.num_waiting) == (0, 0)

    runner.run(run())


def test_a_stop_token_ends_the_answer_and_is_its_last_token(
    runner: asyncio.Runner, engine: EngineProcess
) -> None:
    async def run() -> None:
        token_ids, _ = await _tokens(engine, _request(max_tokens=12))
        stopped, reason = await _tokens(engine, _request(max_tokens=12, stop=(token_ids[4],)))
        assert stopped == token_ids[: token_ids.index(token_ids[4]) + 1]
        assert reason is FinishReason.STOP

    runner.run(run())


def test_the_same_seed_gives_the_same_tokens_alone_and_in_a_batch_of_eight(
    runner: asyncio.Runner, engine: EngineProcess
) -> None:
    seeded = SamplingParams(temperature=1.0, top_p=0.9, min_p=0.01, frequency_penalty=0.3, seed=7)

    async def run() -> None:
        alone = await _tokens(engine, _request("alone", sampling=seeded))
        together = await asyncio.gather(
            _tokens(engine, _request("greedy", prompt=(4, 5))),
            _tokens(engine, _request("seeded", sampling=seeded)),
            _tokens(engine, _request("free", prompt=(9,) * 200, sampling=SamplingParams())),
            *(
                _tokens(engine, _request(f"other {seed}", sampling=SamplingParams(seed=seed)))
                for seed in range(8, 13)
            ),
        )
        assert together[1] == alone
        assert together[3] != alone

    runner.run(run())


def test_closing_the_iterator_early_frees_the_place(runner: asyncio.Runner, engine: EngineProcess) -> None:
    async def run() -> None:
        async with aclosing(engine.generate(_request("long", max_tokens=100_000))) as outputs:
            async for output in outputs:
                if isinstance(output, TokenOutput):
                    break
        await _tokens(engine, _request("next", max_tokens=3))
        assert engine.status().num_running == 0

    runner.run(run())


def test_an_abort_ends_the_iterator_with_abort(runner: asyncio.Runner, engine: EngineProcess) -> None:
    async def run() -> None:
        last: TokenOutput | None = None
        async for output in engine.generate(_request("long", max_tokens=100_000)):
            if isinstance(output, TokenOutput):
                last = output
                engine.abort("long")
        assert last is not None
        assert last.finish_reason is FinishReason.ABORT
        engine.abort("nobody")

    runner.run(run())


def test_one_request_too_many_is_refused_and_the_others_go_on(
    runner: asyncio.Runner, tiny_checkpoint: Path
) -> None:
    config = EngineConfig(model=str(tiny_checkpoint), max_running_requests=1, max_waiting_requests=1)

    async def run(engine: EngineProcess) -> None:
        first = asyncio.create_task(_tokens(engine, _request("first")))
        second = asyncio.create_task(_tokens(engine, _request("second")))
        await asyncio.sleep(0)
        with pytest.raises(QueueFullError, match="no more than 2"):
            await _tokens(engine, _request("third"))
        assert len((await first)[0]) == len((await second)[0]) == 20

    _with_own_engine(runner, run, config)


def test_a_prompt_as_long_as_the_context_is_refused_with_both_numbers(
    runner: asyncio.Runner, tiny_checkpoint: Path
) -> None:
    config = EngineConfig(model=str(tiny_checkpoint), context_length=50)

    async def run(engine: EngineProcess) -> None:
        for _ in range(2):  # while it loads, and when it is loaded
            with pytest.raises(ContextLengthError, match=r"60 tokens.*50 tokens"):
                await _tokens(engine, _request(prompt=(1,) * 60))
            token_ids, reason = await _tokens(engine, _request(prompt=(1,) * 45, max_tokens=100))
            assert len(token_ids) == 5
            assert reason is FinishReason.LENGTH

    _with_own_engine(runner, run, config)


def test_token_ids_outside_the_vocabulary_are_refused(runner: asyncio.Runner, engine: EngineProcess) -> None:
    async def run() -> None:
        for prompt in ((1, 1024), (-1,)):
            with pytest.raises(InvalidRequestError, match="0 to 1023"):
                await _tokens(engine, _request(prompt=prompt))

    runner.run(run())


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_killed_worker_is_replaced_and_no_token_is_lost_or_doubled(
    runner: asyncio.Runner, engine: EngineProcess, temperature: float
) -> None:
    sampling = SamplingParams(temperature=temperature, seed=3, frequency_penalty=0.5)

    async def run() -> None:
        expected = await _tokens(engine, _request("whole", max_tokens=60, sampling=sampling))
        before = engine.status().num_restarts
        token_ids: list[int] = []
        async for output in engine.generate(_request("cut", max_tokens=60, sampling=sampling)):
            if isinstance(output, TokenOutput):
                token_ids += output.token_ids
                if len(token_ids) == 5:
                    _workers()[0].kill()
        assert (token_ids, output) == (expected[0], output)
        assert isinstance(output, TokenOutput)
        assert output.finish_reason is expected[1]
        assert engine.status().num_restarts == before + 1

    runner.run(run())


def test_a_request_whose_worker_dies_each_time_is_given_up_and_the_next_is_served(
    runner: asyncio.Runner, engine: EngineProcess
) -> None:
    async def run() -> None:
        with pytest.raises(EngineDeadError, match="ended unexpectedly"):
            await _kill_at_each_token(engine.generate(_request("poison", max_tokens=100_000)))
        assert len((await _tokens(engine, _request("next")))[0]) == 20

    runner.run(run())


@pytest.mark.parametrize("is_asked", [True, False], ids=["after a request", "after it was loaded"])
def test_without_requests_the_model_is_unloaded_after_a_while(
    runner: asyncio.Runner, tiny_checkpoint: Path, is_asked: bool
) -> None:
    config = EngineConfig(model=str(tiny_checkpoint), idle_unload_seconds=0.2)
    before = _workers()

    async def run(engine: EngineProcess) -> None:
        await (_tokens(engine, _request()) if is_asked else engine.load())
        own = [worker for worker in _workers() if worker not in before]
        await asyncio.to_thread(psutil.wait_procs, own, 20)
        assert _workers() == before
        assert engine.status().state is EngineState.UNLOADED

    _with_own_engine(runner, run, config)


def test_a_model_that_is_being_loaded_is_not_idle(runner: asyncio.Runner, tiny_checkpoint: Path) -> None:
    config = EngineConfig(model=str(tiny_checkpoint), idle_unload_seconds=0.01)

    async def run(engine: EngineProcess) -> None:
        async with aclosing(engine.generate(_request())) as news:
            assert isinstance(await anext(news), Progress)
        assert engine.status().state is EngineState.LOADING
        assert (await engine.load()).name == str(tiny_checkpoint)

    _with_own_engine(runner, run, config)


def test_log_probabilities_come_to_those_who_ask(runner: asyncio.Runner, engine: EngineProcess) -> None:
    async def run() -> None:
        request = replace(_request(max_tokens=3), num_logprobs=2)
        outputs = [output async for output in engine.generate(request) if isinstance(output, TokenOutput)]
        for output in outputs:
            [report] = output.logprobs
            likeliest, logprob = report.top[0]
            assert likeliest == output.token_ids[0]
            assert logprob == pytest.approx(report.logprob, abs=1e-6)
        plain = [output async for output in engine.generate(_request()) if isinstance(output, TokenOutput)]
        assert all(output.logprobs == () for output in plain)

    runner.run(run())


def test_a_worker_that_falls_silent_is_replaced(runner: asyncio.Runner, tiny_checkpoint: Path) -> None:
    config = EngineConfig(model=str(tiny_checkpoint), stall_timeout_seconds=2.0, stop_timeout_seconds=0.2)
    before = _workers()

    async def run(engine: EngineProcess) -> None:
        await engine.load()
        worker = next(worker for worker in _workers() if worker not in before)
        worker.send_signal(signal.SIGSTOP)
        assert len((await _tokens(engine, _request()))[0]) == 20
        assert engine.status().num_restarts == 1

    _with_own_engine(runner, run, config)


def test_unloading_ends_the_process_and_the_next_request_loads_again(
    runner: asyncio.Runner, engine: EngineProcess
) -> None:
    async def run() -> None:
        await engine.load()
        await engine.unload()
        assert _workers() == []
        assert engine.status().state is EngineState.UNLOADED
        assert len((await _tokens(engine, _request()))[0]) == 20

    runner.run(run())


def test_unloading_does_not_wait_for_a_process_that_is_being_started(
    runner: asyncio.Runner, tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_begun, is_cancelled = asyncio.Event(), asyncio.Event()

    async def hang(_: str) -> WorkerConnection:
        is_begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            is_cancelled.set()
            raise
        raise AssertionError

    async def run(engine: EngineProcess) -> None:
        monkeypatch.setattr(
            WorkerConnection, "open", hang
        )  # as ranks do that wait for a machine which is gone
        asked = [asyncio.create_task(_tokens(engine, _request(name))) for name in "ab"]
        await is_begun.wait()
        async with asyncio.timeout(10):
            await engine.unload()
        assert is_cancelled.is_set()
        for each in asked:
            with pytest.raises(EngineDeadError, match="unloaded"):
                await each
        assert engine.status().state is EngineState.UNLOADED
        monkeypatch.undo()
        assert len((await _tokens(engine, _request()))[0]) == 20

    _with_own_engine(runner, run, EngineConfig(model=str(tiny_checkpoint)))


def test_a_request_that_ends_before_its_turn_loads_nothing(
    runner: asyncio.Runner, engine: EngineProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    close, may_close = WorkerConnection.close, asyncio.Event()

    async def slow(connection: WorkerConnection, seconds: float) -> int | None:
        await may_close.wait()
        return await close(connection, seconds)

    async def run() -> None:
        await engine.load()
        monkeypatch.setattr(WorkerConnection, "close", slow)
        first = asyncio.create_task(engine.unload())
        second = asyncio.create_task(engine.unload())
        await asyncio.sleep(0)
        asked = asyncio.create_task(_tokens(engine, _request()))
        await until(lambda: bool(engine._requests))
        may_close.set()
        await asyncio.gather(first, second)
        with pytest.raises(EngineDeadError):
            await asked
        assert engine._worker is None
        assert _workers() == []

    runner.run(run())


def test_a_process_that_dies_in_a_load_of_its_own_is_not_started_again(
    runner: asyncio.Runner, engine: EngineProcess
) -> None:
    async def run() -> None:
        async with aclosing(engine.generate(_request("cut", max_tokens=100_000))) as news:
            async for output in news:
                if isinstance(output, TokenOutput):
                    _workers()[0].kill()
                    break
            await until(lambda: engine.status().state is EngineState.LOADING)
        await engine.unload()  # of a load after a crash, which no step followed
        await until(lambda: not _workers())
        loading = asyncio.create_task(engine.load())
        await until(lambda: bool(_workers()))
        _workers()[0].kill()
        with pytest.raises(EngineDeadError, match="ended while it loaded"):
            await loading
        assert engine.status().state is EngineState.FAILED

    runner.run(run())


def test_switching_to_a_model_that_does_not_exist_fails_and_switching_back_works(
    runner: asyncio.Runner, engine: EngineProcess
) -> None:
    async def run() -> None:
        name = (await engine.load()).name
        with pytest.raises(ModelLoadError, match="no directory"):
            await engine.load("/nowhere/gpt-oss")
        assert engine.status().state is EngineState.FAILED
        assert (await engine.load()).name == name  # what cannot be loaded is not tried again

    runner.run(run())


def test_after_a_load_that_was_overtaken_and_one_that_failed_the_first_model_is_loaded(
    runner: asyncio.Runner, engine: EngineProcess
) -> None:
    async def run() -> None:
        name = (await engine.load()).name
        overtaken = asyncio.create_task(engine.load("demo"))
        await until(lambda: engine.status().state is EngineState.LOADING)
        with pytest.raises(ModelLoadError, match="no directory"):
            await engine.load("/nowhere/gpt-oss")
        with pytest.raises(EngineDeadError):
            await overtaken
        assert (await engine.load()).name == name

    runner.run(run())


def test_the_worker_ends_when_the_notebook_server_is_gone(
    runner: asyncio.Runner, engine: EngineProcess
) -> None:
    async def run() -> None:
        await engine.load()
        worker = _workers()[0]
        connection = engine._worker
        assert connection is not None
        connection._writer.close()
        await asyncio.to_thread(psutil.wait_procs, [worker], 10)
        assert not worker.is_running()

    runner.run(run())


def test_ctrl_c_in_the_servers_terminal_does_not_reach_the_worker(
    runner: asyncio.Runner, engine: EngineProcess
) -> None:
    async def run() -> None:
        await _tokens(engine, _request())
        os.kill(_workers()[0].pid, signal.SIGINT)
        assert len((await _tokens(engine, _request()))[0]) == 20

    runner.run(run())
