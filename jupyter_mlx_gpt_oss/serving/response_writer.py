"""The chunks of a chat completion to the events of a response. The response is what the events add up to."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from jupyter_mlx_gpt_oss.errors import GptOssError
from jupyter_mlx_gpt_oss.protocol.chat_answers import (
    ChatCompletionChunk,
    ChoiceLogprobs,
    ChunkChoice,
    ToolCallDelta,
    TopLogprob,
    Usage,
)
from jupyter_mlx_gpt_oss.protocol.response_answers import (
    FunctionCallItem,
    IncompleteDetails,
    InputTokensDetails,
    ItemStatus,
    MessageItem,
    OutputItem,
    OutputText,
    OutputTokensDetails,
    ReasoningItem,
    ReasoningText,
    Response,
    ResponseError,
    ResponseStatus,
    ResponseUsage,
    TextLogprob,
    TextTopLogprob,
)
from jupyter_mlx_gpt_oss.protocol.response_events import (
    DeltaEvent,
    DeltaType,
    DoneEvent,
    DoneType,
    ItemEvent,
    LifecycleEvent,
    LifecycleType,
    PartEvent,
    PartType,
    ResponseEvent,
)

_ENDINGS: dict[ResponseStatus, LifecycleType] = {
    "completed": "response.completed",
    "incomplete": "response.incomplete",
    "cancelled": "response.incomplete",
    "failed": "response.failed",
}


_DONE: dict[str, DoneType] = {
    "message": "response.output_text.done",
    "reasoning": "response.reasoning_text.done",
    "function_call": "response.function_call_arguments.done",
}


class ResponseWriter:
    """Writes one response, from created to its end. At most one item is open at any time.

    Args:
        head: the response as it begins, without output.
        new_id: makes the ids of items.
        namespaced: namespace and name of functions, by the names that the model reads.
    """

    def __init__(
        self,
        head: Response,
        *,
        new_id: Callable[[str], str],
        namespaced: Mapping[str, tuple[str, str]],
    ) -> None:
        self._response = head
        self._new_id = new_id
        self._namespaced = namespaced
        self._num_events = 0
        self._items: list[OutputItem] = []
        self._open: OutputItem | None = None
        self._pieces: list[str] = []
        self._logprobs: list[TextLogprob] = []
        self._usage: Usage | None = None
        self._is_cut = False

    @property
    def is_begun(self) -> bool:
        """Whether the first events were written."""
        return self._num_events > 0

    def write(self, chunk: ChatCompletionChunk) -> Iterator[ResponseEvent]:
        """Yield what the next chunk means; before the first of them, that the response began."""
        if not self.is_begun:
            self._response = self._response.model_copy(update={"model": chunk.model})
            yield self._lifecycle("response.created")
            yield self._lifecycle("response.in_progress")
        self._usage = chunk.usage or self._usage
        for choice in chunk.choices:
            self._is_cut = self._is_cut or choice.finish_reason == "length"
            yield from self._write(choice)

    def end(self, error: GptOssError | None = None, *, is_cancelled: bool = False) -> Iterator[ResponseEvent]:
        """Yield the last events: the response is complete, was cut, was cancelled, or failed with an error."""
        status: ResponseStatus = "incomplete" if self._is_cut else "completed"
        if is_cancelled:
            status = "cancelled"
        if error is not None:
            status = "failed"
        yield from self._close("completed" if status == "completed" else "incomplete")
        self._response = self.response(status)
        if error is not None:
            self._response.error = ResponseError(code="server_error", message=error.message)
        last = self._lifecycle(_ENDINGS[status])
        if error is not None:
            last.fault = error.code
        yield last

    def response(self, status: ResponseStatus) -> Response:
        """Return the response as it is so far, with a status."""
        update: dict[str, Any] = {"status": status, "output": [*self._items]}
        if self._open is not None:
            update["output"].append(self._whole(self._open, "incomplete"))
        if status == "incomplete":
            update["incomplete_details"] = IncompleteDetails(reason="max_output_tokens")
        if self._usage is not None:
            update["usage"] = _usage(self._usage)
        return self._response.model_copy(update=update)

    def _write(self, choice: ChunkChoice) -> Iterator[ResponseEvent]:
        delta = choice.delta
        if delta.reasoning:
            yield from self._ensure("reasoning")
            if text := self._within_item(delta.reasoning):
                yield self._delta("response.reasoning_text.delta", text)
        if delta.content:
            yield from self._ensure("message")
            logprobs = _logprobs(choice.logprobs)
            self._logprobs += logprobs
            if text := self._within_item(delta.content):
                yield self._delta("response.output_text.delta", text, logprobs)
        for call in delta.tool_calls or ():
            yield from self._write_call(call)

    def _within_item(self, text: str) -> str:
        """Return text without the newline that joins it to an earlier message of its kind: that is an item of its own."""
        assert self._open is not None
        is_later = any(item.type == self._open.type for item in self._items)
        return text.removeprefix("\n") if is_later and not self._pieces else text

    def _write_call(self, call: ToolCallDelta) -> Iterator[ResponseEvent]:
        if call.id is not None:
            yield from self._close("completed")
            name = call.function.name or ""
            item = FunctionCallItem(
                id=self._new_id("fc_"),
                type="function_call",
                call_id=call.id,
                name=name,
                arguments="",
                status="in_progress",
            )
            if name in self._namespaced:
                item.namespace, item.name = self._namespaced[name]
            yield self._add(item)
        if call.function.arguments:
            yield self._delta("response.function_call_arguments.delta", call.function.arguments)

    def _ensure(self, kind: str) -> Iterator[ResponseEvent]:
        """Open an item of a kind, unless it is open."""
        if self._open is not None and self._open.type == kind:
            return
        yield from self._close("completed")
        if kind == "reasoning":
            yield self._add(
                ReasoningItem(
                    id=self._new_id("rs_"),
                    type="reasoning",
                    summary=[],
                    content=[],
                    encrypted_content=None,
                    status="in_progress",
                )
            )
        else:
            yield self._add(
                MessageItem(
                    id=self._new_id("msg_"),
                    type="message",
                    role="assistant",
                    status="in_progress",
                    content=[],
                )
            )
        yield self._part("response.content_part.added", "")

    def _add(self, item: OutputItem) -> ItemEvent:
        self._open = item
        return ItemEvent(
            type="response.output_item.added",
            sequence_number=self._next(),
            output_index=len(self._items),
            item=item,
        )

    def _close(self, status: ItemStatus) -> Iterator[ResponseEvent]:
        item = self._open
        if item is None:
            return
        text = "".join(self._pieces)
        yield self._done(item, text)
        if not isinstance(item, FunctionCallItem):
            yield self._part("response.content_part.done", text)
        whole = self._whole(item, status)
        yield ItemEvent(
            type="response.output_item.done",
            sequence_number=self._next(),
            output_index=len(self._items),
            item=whole,
        )
        self._items.append(whole)
        self._open = None
        self._pieces = []
        self._logprobs = []

    def _done(self, item: OutputItem, text: str) -> DoneEvent:
        event = DoneEvent(
            type=_DONE[item.type],
            sequence_number=self._next(),
            item_id=item.id,
            output_index=len(self._items),
        )
        if isinstance(item, FunctionCallItem):
            event.name, event.arguments = item.name, text
        else:
            event.content_index, event.text = 0, text
        if isinstance(item, MessageItem):
            event.logprobs = [*self._logprobs]
        return event

    def _delta(
        self,
        kind: DeltaType,
        text: str,
        logprobs: Sequence[TextLogprob] = (),
    ) -> DeltaEvent:
        assert self._open is not None
        self._pieces.append(text)
        event = DeltaEvent(
            type=kind,
            sequence_number=self._next(),
            item_id=self._open.id,
            output_index=len(self._items),
            delta=text,
        )
        if not isinstance(self._open, FunctionCallItem):
            event.content_index = 0
        if isinstance(self._open, MessageItem):
            event.logprobs = [*logprobs]
        return event

    def _part(self, kind: PartType, text: str) -> PartEvent:
        assert self._open is not None
        return PartEvent(
            type=kind,
            sequence_number=self._next(),
            item_id=self._open.id,
            output_index=len(self._items),
            content_index=0,
            part=self._content(self._open, text),
        )

    def _content(self, item: OutputItem, text: str) -> OutputText | ReasoningText:
        if isinstance(item, ReasoningItem):
            return ReasoningText(type="reasoning_text", text=text)
        return OutputText(type="output_text", text=text, annotations=[], logprobs=[*self._logprobs])

    def _whole(self, item: OutputItem, status: ItemStatus) -> OutputItem:
        text = "".join(self._pieces)
        if isinstance(item, FunctionCallItem):
            return item.model_copy(update={"arguments": text, "status": status})
        return item.model_copy(update={"content": [self._content(item, text)], "status": status})

    def _lifecycle(self, kind: LifecycleType) -> LifecycleEvent:
        return LifecycleEvent(type=kind, sequence_number=self._next(), response=self._response)

    def _next(self) -> int:
        self._num_events += 1
        return self._num_events - 1


def _usage(usage: Usage) -> ResponseUsage:
    return ResponseUsage(
        input_tokens=usage.prompt_tokens,
        input_tokens_details=InputTokensDetails(
            cached_tokens=usage.prompt_tokens_details.cached_tokens, cache_write_tokens=0
        ),
        output_tokens=usage.completion_tokens,
        output_tokens_details=OutputTokensDetails(
            reasoning_tokens=usage.completion_tokens_details.reasoning_tokens
        ),
        total_tokens=usage.total_tokens,
    )


def _logprobs(logprobs: ChoiceLogprobs | None) -> list[TextLogprob]:
    if logprobs is None:
        return []
    return [
        TextLogprob(**_top(token).model_dump(), top_logprobs=[_top(top) for top in token.top_logprobs])
        for token in logprobs.content
    ]


def _top(token: TopLogprob) -> TextTopLogprob:
    return TextTopLogprob(token=token.token, bytes=token.bytes or [], logprob=token.logprob)
