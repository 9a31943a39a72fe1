"""Several streams as one, in the order in which their items come."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any, TypeVar

from jupyter_mlx_gpt_oss.errors import QueueFullError

Item = TypeVar("Item")
_END = object()


async def interleave(
    streams: Sequence[Callable[[], AsyncGenerator[Item, None]]], max_open: int | None = None
) -> AsyncGenerator[tuple[int, Item], None]:
    """Yield every item with the index of its stream; closes all streams at the end.

    Args:
        streams: begin a stream, and again where it found the queue full.
        max_open: of them, at once; the next one begins when one has ended. None: all.

    No stream runs ahead of the reader by more than one item. The first failure of a stream ends them all, before
    any other item that came at the same time. A stream that finds the queue full before its first item is no failure while
    others are open: it begins anew when one of them has ended.
    """
    limit = len(streams) if max_open is None else max_open
    later = deque(range(len(streams)))
    begun: dict[int, AsyncGenerator[Item, None]] = {}
    coming: dict[int, asyncio.Future[Any]] = {}
    spoken: set[int] = set()
    try:
        while coming or later:
            while later and len(coming) < limit:
                index = later.popleft()
                begun[index] = streams[index]()
                coming[index] = _next(begun[index])
            await asyncio.wait(coming.values(), return_when=asyncio.FIRST_COMPLETED)
            arrived = [index for index, item in coming.items() if item.done()]
            full = [index for index in arrived if index not in spoken and _is_refused(coming[index])]
            if full and len(full) < len(coming):
                coming = {index: item for index, item in coming.items() if index not in full}
                later.extendleft(reversed(full))
                limit = min(limit, len(coming))
            items = {index: coming.pop(index).result() for index in arrived if index in coming}
            items = {index: item for index, item in items.items() if item is not _END}
            coming |= {index: _next(begun[index]) for index in items}
            for index, item in items.items():
                spoken.add(index)
                yield index, item
    finally:
        for item in coming.values():
            item.cancel()
        await asyncio.gather(*coming.values(), return_exceptions=True)
        for stream in begun.values():
            await stream.aclose()


def _is_refused(item: asyncio.Future[Any]) -> bool:
    return isinstance(item.exception(), QueueFullError)


def _next(stream: AsyncGenerator[Item, None]) -> asyncio.Future[Any]:
    return asyncio.ensure_future(anext(stream, _END))
