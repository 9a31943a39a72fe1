"""Several streams as one, in the order in which their items come."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from itertools import islice
from typing import Any, TypeVar

Item = TypeVar("Item")
_END = object()


async def interleave(
    streams: Sequence[AsyncGenerator[Item, None]], max_open: int | None = None
) -> AsyncGenerator[tuple[int, Item], None]:
    """Yield every item with the index of its stream; closes all streams at the end.

    Args:
        streams: at least one.
        max_open: of them, at once; the next one begins when one has ended. None: all.

    No stream runs ahead of the reader by more than one item. The first failure of a stream ends them all, before
    any other item that came at the same time.
    """
    coming = {index: _next(stream) for index, stream in enumerate(streams[:max_open])}
    later = iter(range(len(coming), len(streams)))
    try:
        while coming:
            await asyncio.wait(coming.values(), return_when=asyncio.FIRST_COMPLETED)
            arrived = {index: item.result() for index, item in coming.items() if item.done()}
            items = {index: item for index, item in arrived.items() if item is not _END}
            waiting = {index: item for index, item in coming.items() if index not in arrived}
            begun = islice(later, len(arrived) - len(items))
            coming = waiting | {index: _next(streams[index]) for index in (*items, *begun)}
            for index, item in items.items():
                yield index, item
    finally:
        for item in coming.values():
            item.cancel()
        await asyncio.gather(*coming.values(), return_exceptions=True)
        for stream in streams:
            await stream.aclose()


def _next(stream: AsyncGenerator[Item, None]) -> asyncio.Future[Any]:
    return asyncio.ensure_future(anext(stream, _END))
