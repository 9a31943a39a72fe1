"""What befalls the engine process: each time the answer goes on, or ends with an error; nothing hangs, nothing is left."""

import asyncio
import signal
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from jupyter_mlx_gpt_oss.engine.base import EngineState
from jupyter_mlx_gpt_oss.engine.config import EngineConfig
from jupyter_mlx_gpt_oss.engine.engine_process import EngineProcess
from jupyter_mlx_gpt_oss.engine.engine_process import _backoff_seconds as backoff_seconds
from jupyter_mlx_gpt_oss.engine.frames import StepDone
from jupyter_mlx_gpt_oss.engine.request import TokenOutput
from jupyter_mlx_gpt_oss.engine.worker_connection import WorkerConnection
from jupyter_mlx_gpt_oss.errors import EngineDeadError, OutOfMemoryError
from tests.support.engine_caller import (
    answer_of,
    engine_process,
    greedy_request,
    until,
    workers_of_this_process,
)

LONG = greedy_request("long", max_tokens=400)  # a loaded machine may stop the test for a tenth of a second
QUEUED = StepDone(
    outputs=(),
    num_running=0,
    num_waiting=1,
    memory_bytes=0,
    live_kv_bytes=0,
    prefix_cache_bytes=0,
    snapshot_bytes=0,
    step_seconds=0.0,
)
"""What a worker says when it has put a request into its queue."""


@pytest.fixture
def config(tiny_checkpoint: Path) -> EngineConfig:
    return EngineConfig(model=str(tiny_checkpoint), max_waiting_requests=10_000)


def connection_of(engine: EngineProcess) -> WorkerConnection:
    connection = engine._worker
    assert connection is not None
    return connection


def say_garbage(connection: WorkerConnection) -> None:
    connection._reader.feed_data(b'{"type": "step", "outputs": 5}\n')


def say_half_a_frame(connection: WorkerConnection) -> None:
    connection._reader.feed_data(b'{"type": "step", "outp')
    connection._reader.feed_eof()


def send_garbage(connection: WorkerConnection) -> None:
    connection._writer.write(b"\xff\xfe nonsense\n")


def send_half_a_frame(connection: WorkerConnection) -> None:
    connection._writer.write(b'{"type": "generate", "requ')
    connection._writer.write_eof()


async def test_a_broken_frame_costs_the_process_and_no_token(config: EngineConfig) -> None:
    async with engine_process(config) as engine:
        expected = await answer_of(engine, LONG)
        for num_restarts, break_it in enumerate(
            (say_garbage, say_half_a_frame, send_garbage, send_half_a_frame), start=1
        ):
            begun = asyncio.Event()
            answer = asyncio.create_task(answer_of(engine, LONG, begun=begun))
            await begun.wait()
            break_it(connection_of(engine))
            assert await answer == expected
            assert engine.status().num_restarts == num_restarts


async def test_a_process_that_ends_while_it_loads_is_told_and_the_next_request_tries_again(
    config: EngineConfig,
) -> None:
    async with engine_process(config) as engine:
        await engine._start()
        workers_of_this_process()[-1].kill()
        with pytest.raises(EngineDeadError, match="ended while it loaded the model"):
            await answer_of(engine, LONG)
        assert engine.status().state is EngineState.FAILED
        assert len((await answer_of(engine, LONG))[0]) == 400


async def test_memory_that_runs_out_ends_in_an_error_or_in_a_new_process_and_the_next_request_is_answered(
    config: EngineConfig,
) -> None:
    async with engine_process(config) as engine:
        await engine.load()
        worker = workers_of_this_process()[-1]
        soft, hard = worker.rlimit(psutil.RLIMIT_AS)
        worker.rlimit(psutil.RLIMIT_AS, (worker.memory_info().vms, hard))
        hungry = greedy_request("hungry", prompt=tuple(range(1000)) * 5, max_tokens=2)
        try:
            assert len((await answer_of(engine, hungry))[0]) == 2
        except OutOfMemoryError:
            worker.rlimit(psutil.RLIMIT_AS, (soft, hard))
        else:
            assert engine.status().num_restarts == 1
        assert len((await answer_of(engine, LONG))[0]) == 400


async def test_ten_thousand_requests_wait_and_are_cancelled(config: EngineConfig) -> None:
    async with engine_process(config) as engine:
        expected = await answer_of(engine, LONG)
        begun = asyncio.Event()
        requests = [greedy_request(f"queued-{number}", max_tokens=1000) for number in range(10_000)]
        answers = [asyncio.create_task(answer_of(engine, request, begun=begun)) for request in requests]
        await begun.wait()
        for answer in answers:
            answer.cancel()
        await asyncio.gather(*answers, return_exceptions=True)
        assert await answer_of(engine, LONG) == expected
        status = engine.status()
        assert (status.num_running, status.num_waiting, status.num_restarts) == (0, 0, 0)


async def test_a_client_that_does_not_read_its_whole_answer_costs_no_process(
    config: EngineConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jupyter_mlx_gpt_oss.engine.worker_connection._POLL_SECONDS", 0.1)
    async with engine_process(config) as engine, aclosing(engine.generate(LONG)) as outputs:
        async for output in outputs:
            if isinstance(output, TokenOutput):
                break  # the rest is written, and waits here
        await until(lambda: not engine.status().num_running)
        engine._config = replace(config, stall_timeout_seconds=0.3)
        await asyncio.sleep(3.0)  # far longer, and nothing comes from a process that has nothing to do
        assert engine.status().num_restarts == 0
        rest = [output async for output in outputs if isinstance(output, TokenOutput)]
        assert rest[-1].finish_reason is not None


async def test_a_process_that_is_stopped_with_much_to_read_is_ended(tiny_checkpoint: Path) -> None:
    config = EngineConfig(model=str(tiny_checkpoint), stop_timeout_seconds=0.2)
    async with engine_process(config) as engine:
        await engine.load()
        worker = workers_of_this_process()[-1]
        worker.send_signal(signal.SIGSTOP)
        for _ in range(500):  # more than a socket's buffer holds
            engine.precompute(tuple(range(1000)))
        async with asyncio.timeout(20):
            await engine.unload()
        assert not worker.is_running()


async def test_a_process_that_dies_again_and_again_is_started_after_longer_and_longer(
    config: EngineConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    delays: list[float] = []

    def no_delay(num_crashes: int) -> float:
        delays.append(backoff_seconds(num_crashes))
        return 0.0

    monkeypatch.setattr("jupyter_mlx_gpt_oss.engine.engine_process._backoff_seconds", no_delay)
    async with engine_process(config) as engine:
        await engine.load()
        answer = asyncio.create_task(answer_of(engine, LONG))
        await until(lambda: len(engine._requests) == 1)
        workers_of_this_process()[-1].kill()
        for num_restarts in (1, 2):  # it dies before it has computed anything
            await until(lambda: engine.status().num_restarts == num_restarts and is_loading_again(engine))  # noqa: B023
            engine._take(QUEUED)
            workers_of_this_process()[-1].kill()
        with pytest.raises(EngineDeadError):
            await answer
    assert delays == [0.0, 1.0]


def is_loading_again(engine: EngineProcess) -> bool:
    """Tell whether there is a process, and it loads the model."""
    return engine._worker is not None and engine.status().state is EngineState.LOADING


async def test_a_load_that_waits_for_a_process_that_dies_is_told(config: EngineConfig) -> None:
    async with engine_process(config) as engine:
        begun = asyncio.Event()
        answer = asyncio.create_task(answer_of(engine, LONG, begun=begun))
        await begun.wait()
        workers_of_this_process()[-1].kill()
        await until(lambda: engine.status().state is EngineState.LOADING)
        load = asyncio.create_task(engine.load())
        await asyncio.sleep(0)
        answer.cancel()
        workers_of_this_process()[-1].kill()
        with pytest.raises(EngineDeadError):
            async with asyncio.timeout(30):
                await load


async def test_what_runs_is_told_after_the_last_request_was_given_up(config: EngineConfig) -> None:
    async with engine_process(config) as engine:
        begun = asyncio.Event()
        answer = asyncio.create_task(answer_of(engine, greedy_request(max_tokens=3000), begun=begun))
        await begun.wait()
        answer.cancel()
        await until(lambda: not engine.status().num_running and not engine.status().live_kv_bytes)


async def test_a_request_that_comes_while_a_restart_waits_and_somebody_loads_is_answered(
    config: EngineConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jupyter_mlx_gpt_oss.engine.engine_process._backoff_seconds", lambda _: 5.0)
    async with engine_process(config) as engine:
        await engine.load()
        waiting = asyncio.create_task(answer_of(engine, replace(LONG, request_id="waiting")))
        await until(lambda: len(engine._requests) == 1)
        workers_of_this_process()[-1].kill()
        await until(lambda: engine._is_restarting)
        await engine.load()
        assert engine._is_restarting
        async with asyncio.timeout(60):
            assert await answer_of(engine, replace(LONG, request_id="new")) == await waiting
