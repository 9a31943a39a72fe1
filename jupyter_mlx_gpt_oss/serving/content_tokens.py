"""Which sampled tokens the text for the user is made of, told from the parser's events. Knows no wire format."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from jupyter_mlx_gpt_oss.engine.request import TokenLogprobs
from jupyter_mlx_gpt_oss.harmony.events import Event, TextDelta
from jupyter_mlx_gpt_oss.vocabulary import token_bytes


@dataclass(frozen=True, slots=True)
class SampledToken:
    """A token, and how likely it was."""

    token_id: int
    logprobs: TokenLogprobs


class ContentTokens:
    """Keeps the tokens of the text until the text itself is given out: it may be held back, or cut.

    A token of text to which the parser has nothing to say may be half a character, a header, or text of which it is
    not yet clear what it is; the next event tells.
    """

    def __init__(self) -> None:
        self._unclear: list[SampledToken] = []
        self._held: deque[tuple[int, SampledToken]] = (
            deque()
        )  # with the position at which the token's text starts
        self._num_chars = 0
        self._num_chars_given = 0

    def feed(self, token: SampledToken | None, events: Sequence[Event]) -> None:
        """Take a token with what the parser says to it; None is the end of the tokens."""
        is_text = token is not None and bool(token_bytes()[token.token_id])
        if token is not None and is_text:
            self._unclear.append(token)
        text = "".join(event.text for event in events if isinstance(event, TextDelta))
        if text:
            self._held.extend((self._num_chars, unclear) for unclear in self._tokens_of(text))
            self._num_chars += len(text)
        if events or not is_text:
            self._unclear.clear()

    def take(self, num_chars: int) -> tuple[SampledToken, ...]:
        """Return the tokens of the next characters of the text: each once, with its first character."""
        self._num_chars_given += num_chars
        taken: list[SampledToken] = []
        while self._held and self._held[0][0] < self._num_chars_given:
            taken.append(self._held.popleft()[1])
        return tuple(taken)

    def _tokens_of(self, text: str) -> list[SampledToken]:
        # A header without its end stands before the text, and its tokens are none of the text's.
        num_bytes, start = len(text.encode(errors="replace")), len(self._unclear)
        while start and num_bytes > 0:
            start -= 1
            num_bytes -= len(token_bytes()[self._unclear[start].token_id])
        return self._unclear[start:]
