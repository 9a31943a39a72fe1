"""Run a coroutine to its end from code that is not async, in a loop of its own.

The kernel's main thread has a running loop, which cannot be entered twice; so the coroutine gets a helper
thread. Ctrl-C in the main thread cancels it there.
"""

import asyncio
import threading
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

ResultT = TypeVar("ResultT")

CANCEL_TIMEOUT_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class _Exit:
    error: SystemExit | KeyboardInterrupt


def run_coroutine(coroutine: Coroutine[Any, Any, ResultT]) -> ResultT:
    """Return what `coroutine` returns, or raise what it raises.

    It sees the context variables of the caller, so what it prints appears in the caller's cell.
    """
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=_run, args=(loop,), name="gpt-oss-tool", daemon=True)
    thread.start()
    try:
        result = asyncio.run_coroutine_threadsafe(_exit_as_value(coroutine), loop).result()
    finally:
        _close(loop, thread)
    if isinstance(result, _Exit):
        raise result.error
    return result


async def _exit_as_value(coroutine: Coroutine[Any, Any, ResultT]) -> ResultT | _Exit:
    # A loop that these pass through is stopped, and its result never comes.
    try:
        return await coroutine
    except (SystemExit, KeyboardInterrupt) as error:
        return _Exit(error)


def _run(loop: asyncio.AbstractEventLoop) -> None:
    """Run a loop until it is stopped; an exit in a task within leaves it, and stays in the task for whoever awaits that."""
    while True:
        try:
            loop.run_forever()
        except (SystemExit, KeyboardInterrupt):
            continue
        return


def _close(loop: asyncio.AbstractEventLoop, thread: threading.Thread) -> None:
    ending = asyncio.run_coroutine_threadsafe(_cancel_others(), loop)
    ending.add_done_callback(lambda _: loop.call_soon_threadsafe(loop.stop))
    thread.join(CANCEL_TIMEOUT_SECONDS)
    # A coroutine that blocks its loop cannot be cancelled; its daemon thread ends with it.
    if not thread.is_alive():
        loop.close()


async def _cancel_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
