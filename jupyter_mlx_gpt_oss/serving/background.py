"""Work that goes on after its request was answered."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

from jupyter_mlx_gpt_oss.errors import GptOssError, log_text

Result = TypeVar("Result")
_log = logging.getLogger(__name__)


class Background:
    """Owns the tasks that no request waits for; belongs to one event loop."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def start(self, work: Coroutine[Any, Any, Result]) -> asyncio.Task[Result]:
        """Start some work; its failure is logged, whether or not someone waits for the task."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    async def stop(self) -> None:
        """Cancel all work, and wait for its end."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, GptOssError):
            _log.warning("%s", log_text(error))
        elif error is not None:
            _log.error("Unforeseen: %s", type(error).__name__)  # its text may quote a prompt
