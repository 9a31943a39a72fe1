"""Texts and control tokens, which are the parts of a prompt, to its token ids, as long as the prompt can be served.

Knows no messages. A prompt that cannot be served is not read to its end: to encode 1 MB of prose takes 0.4 s.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from jupyter_mlx_gpt_oss.errors import ContextLengthError, RequestTooLargeError
from jupyter_mlx_gpt_oss.harmony.encoding import encode_pieces

Part = int | str
"""A token, or a text in which nothing is a control token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptLimits:
    """What a prompt may have; None: whatever it has."""

    max_bytes: int | None = None
    """Of all its texts together, as UTF-8."""
    max_tokens: int | None = None
    """What the context holds, where that is known."""


NO_LIMITS = PromptLimits()


def encode_sections(
    sections: Sequence[Sequence[Part]], limits: PromptLimits, *, param: str
) -> list[list[int]]:
    """Return the ids of each section of a prompt; a text never shares a token with its neighbours.

    Args:
        sections: together they are the prompt.
        limits: of the prompt.
        param: the request's field, for errors.

    Raises:
        RequestTooLargeError: the texts have too many bytes.
        ContextLengthError: the prompt has too many tokens; how many it has, is estimated if it was not read to its end.
    """
    texts = [part for section in sections for part in section if isinstance(part, str)]
    check_bytes(texts, limits, param=param)
    encoder = _Encoder(limits.max_tokens, sum(map(len, texts)), param)
    return [encoder.encode(section) for section in sections]


def check_bytes(texts: Iterable[str], limits: PromptLimits, *, param: str) -> None:
    """See that the texts of a prompt are not too large.

    Raises:
        RequestTooLargeError: they have too many bytes; names `param`.
    """
    if limits.max_bytes is None:
        return
    num_bytes = sum(len(text.encode("utf-8", "surrogatepass")) for text in texts)
    if num_bytes > limits.max_bytes:
        message = (
            f"The prompt's text has {num_bytes} bytes; at most {limits.max_bytes} are taken. Shorten it."
        )
        raise RequestTooLargeError(message, param=param)


class _Encoder:
    """Counts what it has encoded of one prompt."""

    def __init__(self, max_tokens: int | None, num_chars: int, param: str) -> None:
        self._max_tokens = max_tokens
        self._num_chars = num_chars
        self._param = param
        self._num_chars_read = 0
        self._num_tokens = 0

    def encode(self, parts: Iterable[Part]) -> list[int]:
        token_ids: list[int] = []
        for part in parts:
            if isinstance(part, int):
                token_ids.append(part)
                self._count(0, 1)
                continue
            for num_chars, piece in encode_pieces(part):
                token_ids += piece
                self._count(num_chars, len(piece))
        return token_ids

    def _count(self, num_chars: int, num_tokens: int) -> None:
        self._num_chars_read += num_chars
        self._num_tokens += num_tokens
        if self._max_tokens is None or self._num_tokens <= self._max_tokens:
            return
        share = self._num_chars_read / max(self._num_chars, 1)
        estimate = round(self._num_tokens / share) if share else self._num_tokens
        error = ContextLengthError(estimate, self._max_tokens, is_estimate=share < 1)
        error.param = self._param
        raise error
