"""Harmony events to the chunks of one chat completion. Here alone analysis becomes `reasoning`."""

from collections.abc import Callable, Iterator
from functools import cached_property

from jupyter_mlx_gpt_oss.harmony.events import Event, ReasoningDelta, TextDelta, ToolCallStarted
from jupyter_mlx_gpt_oss.harmony.events import ToolCallDelta as ArgumentsDelta
from jupyter_mlx_gpt_oss.protocol.chat_answers import (
    ChatCompletionChunk,
    ChunkChoice,
    CompletionTokensDetails,
    Delta,
    FinishReason,
    FunctionDelta,
    PromptTokensDetails,
    ToolCallDelta,
    Usage,
)
from jupyter_mlx_gpt_oss.serving.generation import Finished, Started


class ChunkWriter:
    """Writes the chunks of one answer, from Started to Finished.

    Args:
        make_head: gives a chunk without choices; its id, time, model and fingerprint are those of every chunk.
            Called once, when the answer starts: by then the model is known.
        new_id: makes the ids of tool calls.
        is_reasoning_hidden: whether reasoning is left out.
    """

    def __init__(
        self,
        make_head: Callable[[], ChatCompletionChunk],
        *,
        new_id: Callable[[str], str],
        is_reasoning_hidden: bool,
    ) -> None:
        self._make_head = make_head
        self._new_id = new_id
        self._is_reasoning_hidden = is_reasoning_hidden
        self._num_calls = 0

    @cached_property
    def _head(self) -> ChatCompletionChunk:
        return self._make_head()

    def write(self, item: Started | Event | Finished) -> Iterator[ChatCompletionChunk]:
        """Yield the chunks of an item: the role at the start, at the end the finish reason and then the usage."""
        if isinstance(item, Started):
            yield self._chunk(Delta(role="assistant", content=""))
        elif isinstance(item, Finished):
            yield self._chunk(Delta(), item.finish_reason)
            yield self._head.model_copy(update={"usage": usage_of(item)})
        else:
            delta = self._delta(item)
            if delta is not None:
                yield self._chunk(delta)

    def _delta(self, event: Event) -> Delta | None:
        if isinstance(event, TextDelta):
            return Delta(content=event.text)
        if isinstance(event, ReasoningDelta):
            return (
                None
                if self._is_reasoning_hidden
                else Delta(reasoning=event.text, reasoning_content=event.text)
            )
        if isinstance(event, ToolCallStarted):
            self._num_calls += 1
            function = FunctionDelta(name=event.name, arguments="")
            call_id = self._new_id("call_")
            return self._call_delta(ToolCallDelta(index=0, id=call_id, type="function", function=function))
        if isinstance(event, ArgumentsDelta):
            return self._call_delta(ToolCallDelta(index=0, function=FunctionDelta(arguments=event.arguments)))
        return None

    def _call_delta(self, call: ToolCallDelta) -> Delta:
        return Delta(tool_calls=[call.model_copy(update={"index": self._num_calls - 1})])

    def _chunk(self, delta: Delta, finish_reason: FinishReason | None = None) -> ChatCompletionChunk:
        choice = ChunkChoice(index=0, delta=delta, logprobs=None, finish_reason=finish_reason)
        return self._head.model_copy(update={"choices": [choice]})


def usage_of(finished: Finished) -> Usage:
    """Return OpenAI's usage of a finished answer."""
    return Usage(
        prompt_tokens=finished.num_prompt_tokens,
        completion_tokens=finished.num_completion_tokens,
        total_tokens=finished.num_prompt_tokens + finished.num_completion_tokens,
        prompt_tokens_details=PromptTokensDetails(cached_tokens=finished.num_cached_tokens),
        completion_tokens_details=CompletionTokensDetails(reasoning_tokens=finished.num_reasoning_tokens),
    )
