"""Run a coroutine to its end from code that is not async, in a loop beside the kernel's.

The kernel's main thread has a running loop, which cannot be entered twice; so coroutines run in a helper thread, one after the
other in one loop for as long as the kernel lives: what they share, such as a client's connections, belongs to it. Ctrl-C in the
main thread cancels a coroutine there. One that blocks the loop is interrupted in the midst, and the next has another loop.
"""

import asyncio
import ctypes
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, TypeVar

ResultT = TypeVar("ResultT")

CANCEL_TIMEOUT_SECONDS = 2.0


class _Helper:
    """A thread with a loop, which ends with the kernel or when it is given up."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._is_idle = threading.Event()
        self._is_idle.set()
        self._task: asyncio.Task[None] | None = None
        self._is_given_up = False
        self._thread = threading.Thread(target=self._run_loop, name="gpt-oss-tool", daemon=True)
        self._thread.start()

    @property
    def is_usable(self) -> bool:
        """Whether it can run a coroutine now."""
        return self.is_alive and self._is_idle.is_set()

    @property
    def is_alive(self) -> bool:
        """False once it was given up, and in a process that was forked off this one."""
        return not self._is_given_up and self._thread.is_alive()

    def run(self, coroutine: Coroutine[Any, Any, ResultT]) -> ResultT:
        """Return what the coroutine returns, or raise what it raises; Ctrl-C ends it."""
        outcome: Future[ResultT] = Future()
        self._is_idle.clear()
        try:
            self._loop.call_soon_threadsafe(self._begin, coroutine, outcome)
            return outcome.result()
        except KeyboardInterrupt:
            is_over = False
            try:
                self._loop.call_soon_threadsafe(self._cancel)
                is_over = self._is_idle.wait(CANCEL_TIMEOUT_SECONDS)
            finally:  # also of a second Ctrl-C
                if not is_over:
                    self._give_up()
            raise

    def _begin(self, coroutine: Coroutine[Any, Any, ResultT], outcome: "Future[ResultT]") -> None:
        self._task = self._loop.create_task(self._settle(coroutine, outcome))

    async def _settle(self, coroutine: Coroutine[Any, Any, ResultT], outcome: "Future[ResultT]") -> None:
        try:
            result = await coroutine
        except BaseException as error:  # noqa: BLE001  the caller's, an exit too, through which a loop would be stopped
            self._is_idle.set()  # before the caller goes on, who may have another
            outcome.set_exception(error)
        else:
            self._is_idle.set()
            outcome.set_result(result)

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _give_up(self) -> None:
        """Interrupt what blocks the loop, as Ctrl-C does in the main thread, and end it."""
        self._is_given_up = True
        self._loop.call_soon_threadsafe(self._loop.stop)
        thread = ctypes.c_ulong(self._thread.ident or 0)
        ctypes.pythonapi.PyThreadState_SetAsyncExc(thread, ctypes.py_object(KeyboardInterrupt))

    def _run_loop(self) -> None:
        """Run the loop; an exit in a task within leaves it, and stays in the task for whoever awaits that."""
        while not self._is_given_up:
            try:
                self._loop.run_forever()
            except (SystemExit, KeyboardInterrupt):
                continue
        with suppress(KeyboardInterrupt):  # it comes as soon as this thread may be interrupted
            self._loop.close()


_helpers: list[_Helper] = []
"""The first, and one more for each coroutine that has run within another."""


def run_coroutine(coroutine: Coroutine[Any, Any, ResultT]) -> ResultT:
    """Return what `coroutine` returns, or raise what it raises.

    It sees the context variables of the caller, so what it prints appears in the caller's cell.
    """
    _helpers[:] = [helper for helper in _helpers if helper.is_alive]
    helper = next((helper for helper in _helpers if helper.is_usable), None)
    if helper is None:
        helper = _Helper()
        _helpers.append(helper)
    return helper.run(coroutine)
