"""One response: its items to a chat completion, and the chunks of that to events. The whole is what the last event has.

There is one way to the prompt and to the engine, that of chat completions. Knows no HTTP.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Literal

from jupyter_mlx_gpt_oss.engine.request import Progress
from jupyter_mlx_gpt_oss.errors import (
    ContextLengthError,
    GptOssError,
    InvalidRequestError,
    RequestError,
    RequestTooLargeError,
    log_text,
)
from jupyter_mlx_gpt_oss.protocol.chat_answers import ChatCompletionChunk
from jupyter_mlx_gpt_oss.protocol.response_answers import DeletedResponse, InputItemList, Response
from jupyter_mlx_gpt_oss.protocol.response_events import LifecycleEvent, ResponseEvent
from jupyter_mlx_gpt_oss.protocol.responses import ResponsesRequest
from jupyter_mlx_gpt_oss.serving.chat_completions import ChatCompletions
from jupyter_mlx_gpt_oss.serving.open_responses import OpenResponses, until
from jupyter_mlx_gpt_oss.serving.response_items import JsonObject, listed
from jupyter_mlx_gpt_oss.serving.response_question import Question, Questions
from jupyter_mlx_gpt_oss.serving.response_store import ResponseStore, StoredResponse
from jupyter_mlx_gpt_oss.serving.response_writer import ResponseWriter

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Responses:
    """What `v1/responses` does for one caller.

    Args:
        chat: the caller's chat completions.
        store: the responses of all callers.
        open_responses: those that are being answered.
        owner: names the caller.
        max_items: items that a conversation may have.
    """

    chat: ChatCompletions
    store: ResponseStore
    open_responses: OpenResponses
    owner: str
    max_items: int

    @staticmethod
    def read(body: bytes) -> ResponsesRequest:
        """Read a request; raises what `ResponsesRequest.from_json` raises."""
        return ResponsesRequest.from_json(body)

    async def stream(self, request: ResponsesRequest) -> AsyncGenerator[Progress | ResponseEvent, None]:
        """Yield progress, then the events; an error after the first of them is the last event, failed.

        Closing the iterator early aborts the generation, and nothing is kept; a failed response is.

        Raises:
            NotFoundError: `previous_response_id` or an item_reference names nothing that is kept.
            RequestError: an item or tool that cannot be rendered.
            GptOssError: whatever `Engine.generate` raises before the answer begins.
        """
        question = await self._read_question(request)
        writer = ResponseWriter(question.head, new_id=self.chat.new_id, namespaced=question.tools.namespaced)
        try:
            async with aclosing(self._events(question, writer)) as events:
                async for event in events:
                    yield event
        except GptOssError as error:
            if not writer.is_begun:
                raise
            _log.warning("%s", log_text(error))
            for event in writer.end(error):
                if isinstance(event, LifecycleEvent):
                    self._keep(question, event.response)
                yield event

    async def complete(self, request: ResponsesRequest) -> AsyncGenerator[Progress | Response, None]:
        """Yield progress, then the whole response as the last item; closes as `stream` does, and raises any error."""
        question = await self._read_question(request)
        writer = ResponseWriter(question.head, new_id=self.chat.new_id, namespaced=question.tools.namespaced)
        response = question.head
        async with aclosing(self._events(question, writer)) as events:
            async for event in events:
                if isinstance(event, Progress):
                    yield event
                elif isinstance(event, LifecycleEvent):
                    response = event.response
        yield response

    def get(self, response_id: str) -> Response:
        """Return a response that is kept; raises what `ResponseStore.get` raises."""
        return self.store.get(self.owner, response_id).response

    def delete(self, response_id: str) -> DeletedResponse:
        """Keep a response no longer; raises what `ResponseStore.delete` raises."""
        self.store.delete(self.owner, response_id)
        return DeletedResponse(id=response_id, object="response", deleted=True)

    def cancel(self, response_id: str) -> Response:
        """Cancel a response while it is answered; one that was cancelled is returned as it is.

        Raises:
            InvalidRequestError: it ended otherwise.
            NotFoundError: it is not open and not kept.
        """
        response = self.open_responses.cancel(self.owner, response_id) or self.get(response_id)
        if response.status != "cancelled":
            raise InvalidRequestError(f"The response is {response.status}; it cannot be cancelled.")
        return response

    def input_items(
        self, response_id: str, *, after: str | None, limit: int, order: Literal["asc", "desc"]
    ) -> InputItemList:
        """Return a page of the items that a response was asked with.

        Args:
            response_id: of a response that is kept.
            after: the id of the item before the page.
            limit: items of the page, at the most.
            order: asc is the order of the conversation.

        Raises:
            NotFoundError: no such response is kept.
            InvalidRequestError: it has no item `after`.
        """
        stored = self.store.get(self.owner, response_id)
        items = [*stored.context, *stored.input_items]
        if order == "desc":
            items.reverse()
        ids = [item["id"] for item in items]
        if after is not None and after not in ids:
            raise InvalidRequestError("There is no such item.", param="after")
        start = 0 if after is None else ids.index(after) + 1
        page = items[start : start + limit]
        return InputItemList(
            object="list",
            data=[listed(item) for item in page],
            first_id=page[0]["id"] if page else "",
            last_id=page[-1]["id"] if page else "",
            has_more=start + limit < len(items),
        )

    async def _read_question(self, request: ResponsesRequest) -> Question:
        """Read a request in a thread: a conversation may be long, and this loop is Jupyter's."""
        questions = Questions(chat=self.chat, store=self.store, owner=self.owner, max_items=self.max_items)
        return await asyncio.to_thread(questions.read, request)

    async def _events(
        self, question: Question, writer: ResponseWriter
    ) -> AsyncGenerator[Progress | ResponseEvent, None]:
        def cancel() -> Response:
            response = writer.response("cancelled")
            self._keep(question, response)
            return response

        async with (
            self.open_responses.opened(self.owner, question.head.id, cancel) as cancelled,
            aclosing(until(self._chunks(question), cancelled)) as items,
        ):
            async for item in items:
                for event in (item,) if isinstance(item, Progress) else writer.write(item):
                    yield event
            # All at once: who cancels from here on comes too late, and is told so.
            last = list(writer.end(is_cancelled=cancelled.is_set()))
            for event in last:
                # Before the client can know, and send its next request; a cancelled one was kept when it was cancelled,
                # and may have been deleted since.
                if isinstance(event, LifecycleEvent) and not cancelled.is_set():
                    self._keep(question, event.response)
        for event in last:
            yield event

    async def _chunks(self, question: Question) -> AsyncGenerator[Progress | ChatCompletionChunk, None]:
        """Yield the chunks; with truncation, of as much of the conversation as fits."""
        waiting = [question.chat]
        while waiting:
            chat = waiting.pop()
            chunks = self.chat.stream(chat)
            try:
                async for chunk in chunks:
                    yield chunk
            except (ContextLengthError, RequestTooLargeError) as error:  # they come before the first chunk
                shorter = await asyncio.to_thread(question.shorter, chat, error)
                if shorter is None:
                    raise question.in_own_names(error) from None
                waiting.append(shorter)
            except RequestError as error:
                raise question.in_own_names(error) from None
            finally:
                await chunks.aclose()

    def _keep(self, question: Question, response: Response) -> None:
        if not question.request.is_stored:
            return
        output: tuple[JsonObject, ...] = tuple(
            item.model_dump(exclude_unset=True)
            for item in response.output
            if item.type != "function_call" or item.status == "completed"
        )
        num_bytes = question.num_bytes + 2 * len(response.to_json())
        self.store.keep(
            self.owner, StoredResponse(response, question.context, question.items, output, num_bytes)
        )
