"""One raw answer: the engine's tokens to text as it stands, cut at stop strings. Knows no Harmony and no wire format."""

from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Literal

from jupyter_mlx_gpt_oss.engine.request import (
    FinishReason,
    GenerationRequest,
    Progress,
    TokenLogprobs,
    TokenOutput,
)
from jupyter_mlx_gpt_oss.errors import GenerationError
from jupyter_mlx_gpt_oss.harmony.encoding import TextDecoder
from jupyter_mlx_gpt_oss.serving.stop_strings import StopStrings
from jupyter_mlx_gpt_oss.serving.token_names import control_name
from jupyter_mlx_gpt_oss.serving.token_source import TokenSource


@dataclass(frozen=True, slots=True)
class RawToken:
    """One generated token."""

    token_id: int
    text_offset: int
    """Characters of the text before it; of a text that a stop string cuts, of the whole."""
    logprobs: TokenLogprobs | None


@dataclass(frozen=True, slots=True)
class RawPiece:
    """What one step of the engine adds to an answer; the last piece, and only that, has a finish reason."""

    text: str
    tokens: tuple[RawToken, ...]
    finish_reason: Literal["stop", "length"] | None = None
    stop_reason: str | int | None = None
    """The stop string, or the token that ended the answer."""


class RawText:
    """Token ids to text; control tokens are written out or left out."""

    def __init__(self, *, shows_control_tokens: bool) -> None:
        self._decoder = TextDecoder()
        self._shows_control_tokens = shows_control_tokens

    def feed(self, token_id: int) -> str:
        """Return the characters that the token completes."""
        if self._decoder.is_text(token_id):
            return self._decoder.feed(token_id)
        return self._decoder.flush() + (control_name(token_id) if self._shows_control_tokens else "")

    def flush(self) -> str:
        """Return U+FFFD if a character is incomplete."""
        return self._decoder.flush()


class RawGeneration:
    """State of one answer. `pieces` may be iterated once, and again if it failed before the first; closing it early aborts it.

    Args:
        source: where the tokens come from.
        request: what to generate.
        stop_strings: the text ends before the first of them.
        shows_control_tokens: whether the text has them, by name.
    """

    def __init__(
        self,
        source: TokenSource,
        request: GenerationRequest,
        stop_strings: Sequence[str] = (),
        *,
        shows_control_tokens: bool = False,
    ) -> None:
        self.request = request
        self.num_tokens = 0
        """Tokens generated so far, up to the end of the answer."""
        self.num_cached_tokens = 0
        """Tokens of the prompt that need not be computed."""
        self._source = source
        self._text = RawText(shows_control_tokens=shows_control_tokens)
        self._stop = StopStrings(stop_strings)
        self._num_chars = 0

    async def pieces(self) -> AsyncGenerator[Progress | RawPiece, None]:
        """Yield progress, then the pieces.

        Raises:
            GenerationError: the engine ended without a whole answer. Errors of `Engine.generate` pass through.
        """
        async with aclosing(self._source.generate(self.request)) as outputs:
            async for output in outputs:
                if isinstance(output, Progress):
                    yield output
                    continue
                piece = self._read(output)
                yield piece
                if piece.finish_reason is not None:
                    return  # which aborts the rest, where there is one
        raise GenerationError("The engine ended the answer without a reason; send the request again.")

    def _read(self, output: TokenOutput) -> RawPiece:
        if output.finish_reason is FinishReason.ABORT:
            raise GenerationError(
                "The engine stopped the answer before it was complete; send the request again."
            )
        self.num_cached_tokens = max(self.num_cached_tokens, output.num_cached_tokens)
        texts: list[str] = []
        tokens = tuple(self._read_tokens(output, texts))
        self.num_tokens += len(tokens)
        if self._stop.is_matched:
            return RawPiece("".join(texts), tokens, "stop", self._stop.matched)
        if output.finish_reason is None:
            return RawPiece("".join(texts), tokens)
        texts += [self._stop.feed(self._text.flush()), self._stop.flush()]
        if output.finish_reason is FinishReason.LENGTH:
            return RawPiece("".join(texts), tokens, "length")
        return RawPiece("".join(texts), tokens, "stop", self._stop.matched or _last_id(output))

    def _read_tokens(self, output: TokenOutput, texts: list[str]) -> Iterator[RawToken]:
        """Yield the output's tokens as far as the answer goes, and add their text."""
        for index, token_id in enumerate(output.token_ids):
            yield RawToken(token_id, self._num_chars, self._logprobs_at(output, index))
            is_end = output.finish_reason is FinishReason.STOP and index == len(output.token_ids) - 1
            text = "" if is_end else self._text.feed(token_id)
            self._num_chars += len(text)
            texts.append(self._stop.feed(text))
            if self._stop.is_matched:
                return

    def _logprobs_at(self, output: TokenOutput, index: int) -> TokenLogprobs | None:
        if self.request.num_logprobs is None:
            return None
        if index >= len(output.logprobs):
            raise GenerationError("The engine gave no log probability for a token; send the request again.")
        return output.logprobs[index]


def _last_id(output: TokenOutput) -> int | None:
    return output.token_ids[-1] if output.token_ids else None
