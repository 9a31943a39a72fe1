"""Streams of one request that find the queue full to streams that wait for a place, as long as there is hope of one."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from itertools import count
from typing import TypeVar

from jupyter_mlx_gpt_oss.errors import QueueFullError

Item = TypeVar("Item")
_WAIT_SECONDS = 1.0  # for a place, where none of the request's own streams is open whose end would give one
_MOST_REFUSALS = 60


def in_places(
    streams: Sequence[Callable[[], AsyncGenerator[Item, None]]],
) -> list[AsyncGenerator[Item, None]]:
    """Return the streams, each of which begins anew when another has ended, if it found the queue full.

    Args:
        streams: each begins a stream; one that raises QueueFullError before its first item may be begun again.

    Raises (the streams do):
        QueueFullError: there was no place for any of them, or for the last of them for a minute.
    """
    places = _Places()
    return [places.items(stream) for stream in streams]


@dataclass(slots=True)
class _Attempt:
    """How far a stream has come."""

    is_first: bool
    is_open: bool = False
    refusal: QueueFullError | None = None


class _Places:
    """What the streams know of each other."""

    def __init__(self) -> None:
        self._free = asyncio.Semaphore(0)
        """Whether a place may be free: told by streams that have ended, or have found one free."""
        self._num_trying = self._num_open = 0
        self._was_open = False

    async def items(self, stream: Callable[[], AsyncGenerator[Item, None]]) -> AsyncGenerator[Item, None]:
        """Yield what a stream gives, once there is a place for it."""
        for num_refusals in count():
            attempt = _Attempt(is_first=not num_refusals)
            async with aclosing(self._tried(stream, attempt)) as items:
                async for item in items:
                    yield item
            if attempt.refusal is None:
                return
            if num_refusals == _MOST_REFUSALS or not (self._was_open or self._num_trying):
                raise attempt.refusal
            await self._wait()

    async def _tried(
        self, stream: Callable[[], AsyncGenerator[Item, None]], attempt: "_Attempt"
    ) -> AsyncGenerator[Item, None]:
        """Yield what a stream gives; that it found the queue full is noted, not raised."""
        self._num_trying += 1
        try:
            async with aclosing(stream()) as items:
                async for item in items:
                    self._begin(attempt)
                    yield item
        except QueueFullError as error:
            if attempt.is_open:
                raise
            attempt.refusal = error
        finally:
            self._end(attempt)

    def _begin(self, attempt: "_Attempt") -> None:
        if attempt.is_open:
            return
        attempt.is_open = self._was_open = True
        self._num_trying -= 1
        self._num_open += 1
        if not attempt.is_first:
            self._tell_one()  # where there was one there may be more

    def _end(self, attempt: "_Attempt") -> None:
        if attempt.is_open:
            self._num_open -= 1
            self._tell_one()
        else:
            self._num_trying -= 1

    def _tell_one(self) -> None:
        if self._free.locked():  # else one is told of already, and nobody waits
            self._free.release()

    async def _wait(self) -> None:
        has_others = self._num_open or self._num_trying
        with suppress(TimeoutError):
            async with asyncio.timeout(None if has_others else _WAIT_SECONDS):
                await self._free.acquire()
