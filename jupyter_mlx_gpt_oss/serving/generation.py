"""One answer: the engine's tokens to Harmony events, cut at stop strings, with a summary at the end.

The finish reason and the counts of tokens are decided here, once; every route carries them on.
Knows no wire format.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Literal

from jupyter_mlx_gpt_oss.engine.request import (
    FinishReason,
    GenerationRequest,
    Progress,
    TokenLogprobs,
    TokenOutput,
)
from jupyter_mlx_gpt_oss.errors import ContextLengthError, GenerationError
from jupyter_mlx_gpt_oss.harmony import HarmonyParser
from jupyter_mlx_gpt_oss.harmony.events import (
    Event,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    ToolCallStarted,
    TurnEnded,
)
from jupyter_mlx_gpt_oss.harmony.unoffered_tool import refusal
from jupyter_mlx_gpt_oss.serving.content_tokens import ContentTokens, SampledToken
from jupyter_mlx_gpt_oss.serving.stop_strings import StopStrings
from jupyter_mlx_gpt_oss.serving.token_source import TokenSource

_MAX_REFUSALS = 3
"""How often a model is told that a tool is not there, before its turn ends with the call."""


@dataclass(frozen=True, slots=True)
class Started:
    """The model has begun to answer: what follows is the answer."""


@dataclass(frozen=True, slots=True)
class Content:
    """More text for the user, as far as it is surely before any stop string."""

    text: str
    tokens: tuple[SampledToken, ...] = ()
    """What it was sampled as, where log probabilities were asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """The answer is complete; always the last item."""

    finish_reason: Literal["stop", "length", "tool_calls"]
    num_prompt_tokens: int
    num_completion_tokens: int
    """Tokens that the model generated up to the end of the answer, the stop token included."""
    num_cached_tokens: int
    num_reasoning_tokens: int


AnswerItem = Started | Content | ReasoningDelta | ToolCallStarted | ToolCallDelta | TurnEnded | Finished


class Generation:
    """State of one answer. `items` may be iterated once, and again if it failed before the first; closing it early aborts it.

    Args:
        source: where the tokens come from.
        request: what to generate.
        parser: fresh, and already fed with the tokens that the prompt opened.
        stop_strings: the text for the user ends before the first of them; reasoning and calls go on past them.
    """

    def __init__(
        self,
        source: TokenSource,
        request: GenerationRequest,
        parser: HarmonyParser,
        stop_strings: Sequence[str] = (),
    ) -> None:
        self._source = source
        self._request = request
        self._parser = parser
        self._stop = StopStrings(stop_strings)
        self._turn_token_ids: list[int] = []
        self._num_completion_tokens = 0
        self._num_refusals = 0
        self._is_started = False
        self._content_tokens = ContentTokens() if request.num_logprobs is not None else None
        self._num_cached_tokens = 0
        self._has_call = False
        self._engine_reason: FinishReason | None = None

    @property
    def output_token_ids(self) -> tuple[int, ...]:
        """The tokens so far, as sampled, up to the end of the answer; with what the model was told within it."""
        return tuple(self._turn_token_ids)

    async def items(self) -> AsyncGenerator[Progress | AnswerItem, None]:
        """Yield progress, Started, the events, where Content stands for TextDelta, and Finished.

        Raises:
            GenerationError: the engine ended without a whole answer. Errors of `Engine.generate` pass through.
        """
        request: GenerationRequest | None = self._request
        while request is not None:
            async with aclosing(self._answered(request)) as items:
                async for item in items:
                    yield item
            request = self._refused() if self._is_refusable else None
        for event in self._end():
            yield event
        yield self._finished()

    async def _answered(self, request: GenerationRequest) -> AsyncGenerator[Progress | AnswerItem, None]:
        async with self._outputs(request) as outputs:
            async for output in outputs:
                for item in self._items_of(output):
                    yield item
                if self._is_over and isinstance(output, TokenOutput) and output.finish_reason is None:
                    break  # which aborts the rest

    @asynccontextmanager
    async def _outputs(
        self, request: GenerationRequest
    ) -> AsyncIterator[AsyncGenerator[Progress | TokenOutput, None]]:
        try:
            async with aclosing(self._source.generate(request)) as outputs:
                yield outputs
        except ContextLengthError:
            if request is self._request:
                raise
            self._engine_reason = FinishReason.LENGTH  # what the model was told has filled the context

    def _items_of(self, output: Progress | TokenOutput) -> Iterator[Progress | AnswerItem]:
        if isinstance(output, Progress):
            if not self._is_started:
                yield output
            return
        if not self._is_started:
            self._is_started = True
            yield Started()
        if not self._num_refusals:  # of the prompt; a remote engine tells it with the last output
            self._num_cached_tokens = max(self._num_cached_tokens, output.num_cached_tokens)
        yield from self._read(output)

    @property
    def _is_refusable(self) -> bool:
        """Whether the turn ended with a call that the client cannot answer. A grammar does not let it come to that."""
        is_cut = self._stop.is_matched or self._num_completion_tokens >= self._request.max_tokens
        is_free = self._request.grammar is None and self._num_refusals < _MAX_REFUSALS
        return bool(self._parser.unoffered_tool) and is_free and not is_cut

    def _refused(self) -> GenerationRequest:
        """Tell the model that the tool is not there, and return what it goes on by."""
        self._num_refusals += 1
        self._turn_token_ids += refusal(self._parser.unoffered_tool)
        self._parser.resume()
        return replace(
            self._request,
            request_id=f"{self._request.request_id}-refused-{self._num_refusals}",
            prompt_token_ids=(*self._request.prompt_token_ids, *self._turn_token_ids),
            max_tokens=self._request.max_tokens - self._num_completion_tokens,
        )

    @property
    def _is_over(self) -> bool:
        return self._parser.is_finished or self._stop.is_matched or self._engine_reason is not None

    def _read(self, output: TokenOutput) -> Iterator[AnswerItem]:
        for index, token_id in enumerate(output.token_ids):
            self._turn_token_ids.append(token_id)
            self._num_completion_tokens += 1
            events = self._parser.feed(token_id)
            if self._content_tokens is not None:
                token = SampledToken(token_id, _logprobs_at(output, index))
                self._content_tokens.feed(token, events)
            yield from self._cut(events)
            if self._is_over:
                return
        self._engine_reason = output.finish_reason

    def _cut(self, events: Iterable[Event]) -> Iterator[AnswerItem]:
        for event in events:
            # A stop string does not reach across a call or a thought, so these give out what was held back.
            text = self._stop.feed(event.text) if isinstance(event, TextDelta) else self._stop.flush()
            if text:
                yield self._content(text)
            if self._stop.is_matched:
                return
            if isinstance(event, TurnEnded) and self._is_refusable:
                continue
            if not isinstance(event, TextDelta):
                self._has_call = self._has_call or isinstance(event, ToolCallStarted)
                yield event

    def _end(self) -> Iterator[AnswerItem]:
        if not self._is_over:
            raise GenerationError("The engine ended the answer without a reason; send the request again.")
        if self._engine_reason is FinishReason.ABORT:
            raise GenerationError(
                "The engine stopped the answer before it was complete; send the request again."
            )
        if not self._stop.is_matched:
            events = self._parser.close(truncated=self._engine_reason is FinishReason.LENGTH)
            if self._content_tokens is not None:
                self._content_tokens.feed(None, events)
            yield from self._cut(events)
            held = self._stop.flush()
            if held:
                yield self._content(held)

    def _content(self, text: str) -> Content:
        return Content(text, self._content_tokens.take(len(text)) if self._content_tokens else ())

    def _finished(self) -> Finished:
        reason: Literal["stop", "length", "tool_calls"] = "tool_calls" if self._has_call else "stop"
        if self._engine_reason is FinishReason.LENGTH and not self._stop.is_matched:
            reason = "length"
        return Finished(
            finish_reason=reason,
            num_prompt_tokens=len(self._request.prompt_token_ids),
            num_completion_tokens=self._num_completion_tokens,
            num_cached_tokens=self._num_cached_tokens,
            num_reasoning_tokens=self._parser.num_reasoning_tokens,
        )


def _logprobs_at(output: TokenOutput, index: int) -> TokenLogprobs:
    if index >= len(output.logprobs):
        raise GenerationError("The engine gave no log probability for a token; send the request again.")
    return output.logprobs[index]
