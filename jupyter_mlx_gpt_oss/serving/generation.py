"""One answer: the engine's tokens to Harmony events, cut at stop strings, with a summary at the end.

The finish reason and the counts of tokens are decided here, once; every route carries them on.
Knows no wire format.
"""

from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Literal

from jupyter_mlx_gpt_oss.engine.base import Engine
from jupyter_mlx_gpt_oss.engine.request import FinishReason, GenerationRequest, Progress, TokenOutput
from jupyter_mlx_gpt_oss.errors import GenerationError
from jupyter_mlx_gpt_oss.harmony import HarmonyParser
from jupyter_mlx_gpt_oss.harmony.events import Event, TextDelta, ToolCallStarted
from jupyter_mlx_gpt_oss.serving.stop_strings import StopStrings


@dataclass(frozen=True, slots=True)
class Started:
    """The model has begun to answer: what follows is the answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """The answer is complete; always the last item."""

    finish_reason: Literal["stop", "length", "tool_calls"]
    num_prompt_tokens: int
    num_completion_tokens: int
    """Tokens that the model generated up to the end of the answer, the stop token included."""
    num_cached_tokens: int
    num_reasoning_tokens: int


class Generation:
    """State of one answer. `items` may be iterated once; closing it early aborts the request.

    Args:
        engine: where the tokens come from.
        request: what to generate.
        parser: fresh, and already fed with the tokens that the prompt opened.
        stop_strings: the text for the user ends before the first of them; reasoning and calls go on past them.
    """

    def __init__(
        self,
        engine: Engine,
        request: GenerationRequest,
        parser: HarmonyParser,
        stop_strings: Sequence[str] = (),
    ) -> None:
        self._engine = engine
        self._request = request
        self._parser = parser
        self._stop = StopStrings(stop_strings)
        self._num_completion_tokens = 0
        self._num_cached_tokens = 0
        self._has_call = False
        self._engine_reason: FinishReason | None = None

    async def items(self) -> AsyncGenerator[Progress | Started | Event | Finished, None]:
        """Yield progress, Started, the events, and Finished.

        Raises:
            GenerationError: the engine ended without a whole answer. Errors of `Engine.generate` pass through.
        """
        is_started = False
        async with aclosing(self._engine.generate(self._request)) as outputs:
            async for output in outputs:
                if isinstance(output, Progress):
                    yield output
                    continue
                if not is_started:
                    is_started = True
                    self._num_cached_tokens = output.num_cached_tokens
                    yield Started()
                for event in self._read(output):
                    yield event
                if self._is_over and output.finish_reason is None:
                    break  # which aborts the rest
        for event in self._end():
            yield event
        yield self._finished()

    @property
    def _is_over(self) -> bool:
        return self._parser.is_finished or self._stop.is_matched or self._engine_reason is not None

    def _read(self, output: TokenOutput) -> Iterator[Event]:
        for token_id in output.token_ids:
            self._num_completion_tokens += 1
            yield from self._cut(self._parser.feed(token_id))
            if self._is_over:
                return
        self._engine_reason = output.finish_reason

    def _cut(self, events: Iterable[Event]) -> Iterator[Event]:
        for event in events:
            # A stop string does not reach across a call or a thought, so these give out what was held back.
            text = self._stop.feed(event.text) if isinstance(event, TextDelta) else self._stop.flush()
            if text:
                yield TextDelta(text)
            if self._stop.is_matched:
                return
            if not isinstance(event, TextDelta):
                self._has_call = self._has_call or isinstance(event, ToolCallStarted)
                yield event

    def _end(self) -> Iterator[Event]:
        if not self._is_over:
            raise GenerationError("The engine ended the answer without a reason; send the request again.")
        if self._engine_reason is FinishReason.ABORT:
            raise GenerationError(
                "The engine stopped the answer before it was complete; send the request again."
            )
        if not self._stop.is_matched:
            yield from self._cut(self._parser.close(truncated=self._engine_reason is FinishReason.LENGTH))
            held = self._stop.flush()
            if held:
                yield TextDelta(held)

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
