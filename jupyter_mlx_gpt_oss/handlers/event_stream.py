"""Items of an answer to server-sent events, with back-pressure and a sign of life in every silence."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, Protocol, TypeVar

from tornado import web
from tornado.iostream import StreamClosedError
from typing_extensions import override

from jupyter_mlx_gpt_oss.engine.request import Progress
from jupyter_mlx_gpt_oss.handlers.base import ApiHandler
from jupyter_mlx_gpt_oss.protocol import sse
from jupyter_mlx_gpt_oss.protocol.error_body import error_body
from jupyter_mlx_gpt_oss.serving.loading_patience import LoadingPatience

Item = TypeVar("Item")
_END = object()
_LEAST_TICK_SECONDS = 0.05


class Writable(Protocol):
    """A value of the wire."""

    @property
    def event_name(self) -> str | None:
        """What its frame is called; None: it has no name."""
        ...

    def to_json(self) -> str:
        """Return one line of JSON."""
        ...


class EventStreamHandler(ApiHandler):
    """Base of the routes that may answer with a stream."""

    has_failed = False
    """Set where an item of the stream says that the answer failed: nothing follows it."""

    async def write_events(self, items: AsyncGenerator[Progress | Writable, None]) -> None:
        """Write each item as a frame, then the last one; nothing is sent before the first item.

        Raises:
            tornado.web.Finish: the client has gone.
        """
        try:
            async with aclosing(with_silences(items, self.door.config.keep_alive_seconds)) as ticks:
                async for item in ticks:
                    self.touch_activity()
                    await self._write_frame(frame_of(item))
            if not self.has_failed:
                self.write(sse.DONE)
            await self.finish(set_content_type=sse.CONTENT_TYPE)
        except StreamClosedError:
            raise web.Finish from None

    async def write_whole(self, items: AsyncGenerator[Progress | Writable, None]) -> None:
        """Write the last item as the answer; progress before it is not shown.

        Raises:
            ModelLoadingError: the model takes too long to load.
        """
        config = self.door.config
        patience = LoadingPatience(config.max_loading_wait_seconds, time.monotonic)
        tick_seconds = min(
            config.keep_alive_seconds, max(config.max_loading_wait_seconds, _LEAST_TICK_SECONDS)
        )
        async with aclosing(with_silences(items, tick_seconds)) as ticks:
            async for item in ticks:
                self.touch_activity()
                patience.note(item)
                if item is not None and not isinstance(item, Progress):
                    self.write(item.to_json())
        self.finish()

    async def _write_frame(self, frame: bytes) -> None:
        if not self._headers_written:
            self.set_header("Content-Type", sse.CONTENT_TYPE)
            self.set_header("Cache-Control", "no-cache")
            self.set_header("X-Accel-Buffering", "no")  # nginx, in front of many hubs, would keep frames back
        self.write(frame)
        await self.flush()  # returns when the client has room: its pace is the stream's

    @override
    def send_error(self, status_code: int = 500, **kwargs: Any) -> None:
        """End a stream that has begun with a frame that says why; else answer as any route does."""
        if not self._headers_written:
            super().send_error(status_code, **kwargs)
        elif not self._finished:
            error = self.error_of_failure(status_code, **kwargs)
            self.write(sse.data_frame(json.dumps(error_body(error))))
            self.finish(set_content_type=sse.CONTENT_TYPE)


def frame_of(item: Progress | Writable | None) -> bytes:
    """Return the frame of an item; None is a silence."""
    if item is None:
        return sse.comment_frame("keep-alive")
    if isinstance(item, Progress):
        progress = {"stage": item.stage, "done": item.done, "total": item.total}
        return sse.comment_frame(f"gpt-oss {json.dumps(progress)}")
    return sse.data_frame(item.to_json(), item.event_name)


async def with_silences(
    items: AsyncGenerator[Item, None], seconds: float
) -> AsyncGenerator[Item | None, None]:
    """Yield every item, and None whenever none came for so long; closes the items at the end."""
    coming: asyncio.Future[Any] | None = None
    try:
        while True:
            coming = coming or asyncio.ensure_future(anext(items, _END))
            await asyncio.wait({coming}, timeout=seconds)
            if not coming.done():
                yield None
                continue
            item, coming = coming.result(), None
            if item is _END:
                return
            yield item
    finally:
        if coming is not None:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)
        await items.aclose()
