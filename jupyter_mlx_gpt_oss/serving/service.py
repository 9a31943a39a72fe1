"""What the handlers may ask for, made when it is first asked for: the engine, and the routes' work.

This module is imported when the notebook server starts, so nothing heavy may be imported here: pydantic, Harmony and
the engine come with the first request, outside of the server's loop.
"""

import asyncio
import time
from collections.abc import Callable
from functools import cached_property
from importlib import import_module
from secrets import token_hex
from types import ModuleType
from typing import TYPE_CHECKING

from jupyter_mlx_gpt_oss.engine.base import Engine, EngineState

if TYPE_CHECKING:
    from jupyter_mlx_gpt_oss.serving.chat_completions import ChatCompletions
    from jupyter_mlx_gpt_oss.serving.models import Models


def new_id(prefix: str) -> str:
    """Return an unguessable id that starts with the prefix."""
    return prefix + token_hex(12)


class Service:
    """Owns the engine.

    Args:
        make_engine: called once, when something first needs the engine.
        model_name: the model as configured.
        version: this package's.
        clock: seconds since 1970.
    """

    def __init__(
        self,
        *,
        make_engine: Callable[[], Engine],
        model_name: str,
        version: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.model_name = model_name
        self._make_engine = make_engine
        self._version = version
        self._clock = clock
        self._started = clock()

    @cached_property
    def engine(self) -> Engine:
        """The engine; making it starts nothing."""
        return self._make_engine()

    async def chat_completions(self) -> "ChatCompletions":
        """Return the work of `v1/chat/completions`."""
        room = await _room("chat_completions")
        work: ChatCompletions = room.ChatCompletions(
            engine=self.engine,
            model_name=self.model_name,
            new_id=new_id,
            clock=self._clock,
            version=self._version,
        )
        return work

    async def models(self) -> "Models":
        """Return the work of `v1/models`."""
        room = await _room("models")
        work: Models = room.Models(engine=self.engine, model_name=self.model_name, created=int(self._started))
        return work

    def health(self) -> dict[str, str | int | float | None]:
        """Return what `health` says; never waits, and `status` is `ok` unless the engine has failed."""
        engine = self.engine.status()
        return {
            "status": "failed" if engine.state is EngineState.FAILED else "ok",
            "model": engine.model.name if engine.model else self.model_name,
            "state": engine.state,
            "error": engine.error,
            "active_requests": engine.num_running,
            "queued_requests": engine.num_waiting,
            "uptime_seconds": round(self._clock() - self._started, 3),
        }

    async def stop(self) -> None:
        """Stop the engine, if it was ever made."""
        if "engine" in self.__dict__:
            await self.engine.stop()


async def _room(name: str) -> ModuleType:
    return await asyncio.to_thread(import_module, f"jupyter_mlx_gpt_oss.serving.{name}")
