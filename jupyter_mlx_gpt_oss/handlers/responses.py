"""`v1/responses`: a response as a stream or whole, and what is done with one that is kept."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING, Literal

from tornado import web
from typing_extensions import override

from jupyter_mlx_gpt_oss.engine.request import Progress
from jupyter_mlx_gpt_oss.errors import InvalidRequestError
from jupyter_mlx_gpt_oss.handlers.base import ApiHandler
from jupyter_mlx_gpt_oss.handlers.event_stream import EventStreamHandler

if TYPE_CHECKING:
    from jupyter_mlx_gpt_oss.protocol.response_answers import Response
    from jupyter_mlx_gpt_oss.protocol.response_events import ResponseEvent

_DEFAULT_PAGE = 20
_MAX_PAGE = 100


class ResponsesHandler(EventStreamHandler):
    """Answers one response."""

    @override
    @web.authenticated
    async def post(self) -> None:
        """Stream the events if the request says so, else send the response whole."""
        responses = await self.door.service.responses(self.owner)
        request = await asyncio.to_thread(responses.read, self.read_body())
        if request.stream:
            await self.run(self.write_events(self._noted(responses.stream(request))))
        else:
            await self.run(self.write_whole(responses.complete(request)))

    async def _noted(
        self, events: AsyncGenerator["Progress | ResponseEvent", None]
    ) -> AsyncGenerator["Progress | ResponseEvent", None]:
        async with aclosing(events):
            async for event in events:
                if fault := getattr(event, "fault", None):
                    self._outcome, self.has_failed = fault, True
                yield event


class ResponseHandler(ApiHandler):
    """Shows or deletes a response that is kept."""

    @override
    @web.authenticated
    async def get(self, response_id: str) -> None:
        """Send the response.

        Raises:
            InvalidRequestError: it was asked for as a stream.
        """
        responses = await self.door.service.responses(self.owner)
        response = responses.get(response_id)
        if self.get_query_argument("stream", "false") == "true":
            raise InvalidRequestError("A response that is kept is not streamed again.", param="stream")
        self.finish(response.to_json())

    @override
    @web.authenticated
    async def delete(self, response_id: str) -> None:
        """Delete the response."""
        responses = await self.door.service.responses(self.owner)
        self.finish(responses.delete(response_id).to_json())


class InputItemsHandler(ApiHandler):
    """Lists what a response was asked with."""

    @override
    @web.authenticated
    async def get(self, response_id: str) -> None:
        """Send a page of the items."""
        responses = await self.door.service.responses(self.owner)
        responses.get(response_id)  # one that is not there is told before a page that cannot be
        page = responses.input_items(
            response_id, after=self.get_query_argument("after", None), limit=self._limit, order=self._order
        )
        self.finish(page.to_json())

    @property
    def _limit(self) -> int:
        text = self.get_query_argument("limit", str(_DEFAULT_PAGE))
        limit = int(text) if text.isascii() and text.isdigit() and len(text) <= len(str(_MAX_PAGE)) else 0
        if not 1 <= limit <= _MAX_PAGE:
            raise InvalidRequestError(f"`limit` must be 1 to {_MAX_PAGE}.", param="limit")
        return limit

    @property
    def _order(self) -> Literal["asc", "desc"]:
        match self.get_query_argument("order", "desc"):
            case "asc":
                return "asc"
            case "desc":
                return "desc"
        raise InvalidRequestError("`order` must be asc or desc.", param="order")


class CancelHandler(ApiHandler):
    """Cancels a response while it is answered."""

    @override
    @web.authenticated
    async def post(self, response_id: str) -> None:
        """Send the response as it was cancelled; the body has no meaning."""
        responses = await self.door.service.responses(self.owner)
        response: Response = responses.cancel(response_id)
        self.finish(response.to_json())
