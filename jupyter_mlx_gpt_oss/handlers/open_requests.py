"""The requests that are being answered, so that a stopping server can end them all. Knows nothing of their work."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from jupyter_mlx_gpt_oss.errors import ServerStoppingError

Result = TypeVar("Result")


class OpenRequests:
    """Owns the tasks in which requests are answered; belongs to one event loop."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._all_answered = asyncio.Event()
        self._all_answered.set()
        self._num_open = 0
        self._is_stopping = False

    def __len__(self) -> int:
        return self._num_open

    def start(self, work: Coroutine[Any, Any, Result]) -> asyncio.Task[Result]:
        """Start a request's work as a task, which `stop` cancels; `answered` must follow.

        Raises:
            ServerStoppingError: no request is taken any more.
        """
        if self._is_stopping:
            work.close()
            raise ServerStoppingError("The server is shutting down.")
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        self._num_open += 1
        self._all_answered.clear()
        task.add_done_callback(self._tasks.discard)
        return task

    async def wait(self, task: asyncio.Task[Result]) -> Result:
        """Return what the task returns.

        Raises:
            ServerStoppingError: the server stops.
            CancelledError: the task was cancelled for another reason, or the caller was.
        """
        try:
            return await task
        except asyncio.CancelledError:
            if self._is_stopping:
                raise ServerStoppingError("The server is shutting down.") from None
            raise

    def answered(self) -> None:
        """Tell that one started request was answered in full: its last byte was handed to the connection."""
        self._num_open -= 1
        if not self._num_open:
            self._all_answered.set()

    async def all_answered(self) -> None:
        """Wait until no request is open."""
        await self._all_answered.wait()

    async def stop(self, timeout_seconds: float) -> None:
        """Cancel all work, take no more, and wait until each caller was told, at most so long."""
        self._is_stopping = True
        for task in self._tasks:
            task.cancel()
        with suppress(TimeoutError):  # a client that does not read: the server closes its connection
            await asyncio.wait_for(self.all_answered(), timeout_seconds)
