"""The responses that are being answered, so that their callers can cancel them. Belongs to one event loop."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from jupyter_mlx_gpt_oss.protocol.response_answers import Response

Item = TypeVar("Item")
_END = object()


@dataclass(frozen=True, slots=True)
class OpenResponse:
    """One that has begun and not ended."""

    cancel: Callable[[], Response]
    """Returns the response as it was cancelled; called at most once."""
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)


class OpenResponses:
    """Knows each open response by its caller and its id."""

    def __init__(self) -> None:
        self._open: dict[tuple[str, str], OpenResponse] = {}

    def __len__(self) -> int:
        return len(self._open)

    @asynccontextmanager
    async def opened(
        self, owner: str, response_id: str, cancel: Callable[[], Response]
    ) -> AsyncGenerator[asyncio.Event, None]:
        """Keep a response open within the block; gives the event that is set when it is cancelled."""
        response = self._open[owner, response_id] = OpenResponse(cancel)
        try:
            yield response.cancelled
        finally:
            del self._open[owner, response_id]

    def cancel(self, owner: str, response_id: str) -> Response | None:
        """Cancel a response of a caller, and return it; None if it is not open, or was cancelled before."""
        response = self._open.get((owner, response_id))
        if response is None or response.cancelled.is_set():
            return None
        response.cancelled.set()
        return response.cancel()


async def until(items: AsyncGenerator[Item, None], event: asyncio.Event) -> AsyncGenerator[Item, None]:
    """Yield items until there are no more, or the event is set; closes the items at the end."""
    over = asyncio.ensure_future(event.wait())
    coming: asyncio.Future[Any] | None = None
    try:
        while True:
            coming = asyncio.ensure_future(anext(items, _END))
            await asyncio.wait({coming, over}, return_when=asyncio.FIRST_COMPLETED)
            if event.is_set():
                return
            item = coming.result()
            if item is _END:
                return
            yield item
    finally:
        over.cancel()
        if coming is not None:
            coming.cancel()
        await asyncio.gather(over, *([coming] if coming is not None else ()), return_exceptions=True)
        await items.aclose()
