"""Coroutines from code that is not async."""

import asyncio
import signal
import threading
import time
from collections.abc import Awaitable, Callable

import pytest

from jupyter_mlx_gpt_oss.magics import coroutines
from jupyter_mlx_gpt_oss.magics.coroutines import run_coroutine


async def loop_of_it() -> asyncio.AbstractEventLoop:
    return asyncio.get_running_loop()


def test_what_is_shared_between_calls_has_one_loop() -> None:
    lock = asyncio.Lock()

    async def locked() -> asyncio.AbstractEventLoop:
        async with lock:
            return asyncio.get_running_loop()

    assert run_coroutine(locked()) is run_coroutine(locked())


def test_one_that_exits_is_over_and_the_loop_goes_on() -> None:
    async def leave() -> None:
        raise SystemExit(3)

    before = run_coroutine(loop_of_it())
    with pytest.raises(SystemExit):
        run_coroutine(leave())
    assert run_coroutine(loop_of_it()) is before


async def waits(has_begun: threading.Event, seen: list[str]) -> None:
    try:
        has_begun.set()
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        seen.append("cancelled")
        raise


async def blocks(has_begun: threading.Event, seen: list[str]) -> None:
    has_begun.set()
    try:
        while True:
            time.sleep(0.01)  # noqa: ASYNC251  as a user's code may
    except KeyboardInterrupt:
        seen.append("interrupted")
        raise


@pytest.mark.parametrize(("body", "expected"), [(waits, "cancelled"), (blocks, "interrupted")])
def test_ctrl_c_ends_it_wherever_it_is(
    body: Callable[[threading.Event, list[str]], Awaitable[None]],
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(coroutines, "CANCEL_TIMEOUT_SECONDS", 0.2)
    has_begun, seen = threading.Event(), list[str]()

    def interrupt() -> None:
        has_begun.wait()
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    async def run() -> None:
        await body(has_begun, seen)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        run_coroutine(run())
    thread.join()
    for _ in range(200):
        if seen:
            break
        time.sleep(0.01)
    assert seen == [expected]
    assert run_coroutine(loop_of_it()).is_running()


def test_a_coroutine_within_a_coroutine_has_a_loop_of_its_own() -> None:
    async def outer() -> asyncio.AbstractEventLoop:
        return run_coroutine(loop_of_it())

    assert run_coroutine(outer()).is_running()
