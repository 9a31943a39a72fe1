"""Text to token ids and back, for one process: ordinary text only, never a control token.

Knows nothing of messages or channels. openai-harmony is imported here, on first use: it costs a second.
Source: openai/harmony docs/format.md; openai-harmony 0.0.8.
"""

import codecs
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

from jupyter_mlx_gpt_oss import vocabulary

if TYPE_CHECKING:
    from openai_harmony import HarmonyEncoding

START = vocabulary.SPECIAL_TOKENS["<|start|>"]
CHANNEL = vocabulary.SPECIAL_TOKENS["<|channel|>"]
CONSTRAIN = vocabulary.SPECIAL_TOKENS["<|constrain|>"]
MESSAGE = vocabulary.SPECIAL_TOKENS["<|message|>"]
END = vocabulary.SPECIAL_TOKENS["<|end|>"]
CALL = vocabulary.SPECIAL_TOKENS["<|call|>"]
RETURN = vocabulary.SPECIAL_TOKENS["<|return|>"]
END_OF_TEXT = vocabulary.SPECIAL_TOKENS["<|endoftext|>"]

STOP_TOKEN_IDS = (RETURN, CALL, END_OF_TEXT)
"""Sampling one of these ends the model's turn."""

_ENCODINGS_BASE = "TIKTOKEN_ENCODINGS_BASE"
_LOADING = threading.Lock()  # the environment is the process's
_MAX_RUN_CHARS = 512
# NOTE: "a" * 200_000 takes openai-harmony 65 s and " " * 1_000_000 makes it panic, so longer runs are cut.
# Unicode's White_Space, which its splitting goes by, has no U+001C to U+001F; Python's \s has them.
_LONG_RUN = re.compile(rf"[\S\x1c-\x1f]{{{_MAX_RUN_CHARS + 1},}}|[^\S\x1c-\x1f]{{{_MAX_RUN_CHARS + 1},}}")


class TextDecoder:
    """Turn token ids into text, holding back the bytes of a character until it is complete. O(1) per token."""

    def __init__(self) -> None:
        self._table = vocabulary.token_bytes()
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def is_text(self, token_id: int) -> bool:
        """Say whether the id stands for text; control, reserved and impossible ids do not."""
        return 0 <= token_id < len(self._table) and bool(self._table[token_id])

    def feed(self, token_id: int) -> str:
        """Return the characters that the token completes; the id must stand for text."""
        return self._decoder.decode(self._table[token_id])

    def flush(self) -> str:
        """Return U+FFFD if a character is still incomplete, and start afresh."""
        text = self._decoder.decode(b"", final=True)
        self._decoder.reset()
        return text


def encode(text: str) -> list[int]:
    """Return the ids of a text. Text such as `<|end|>` stays text; lone surrogates become U+FFFD."""
    clean = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    encoding = _encoding()
    return [
        token_id for piece in _pieces(clean) for token_id in encoding.encode(piece, disallowed_special=())
    ]


def decode(token_ids: list[int]) -> str:
    """Return the text of ids, control tokens written out; for people and tests, never for a prompt."""
    return str(_encoding().decode(token_ids))


def _pieces(text: str) -> Iterator[str]:
    start = 0
    for run in _LONG_RUN.finditer(text):
        for cut in range(run.start() + _MAX_RUN_CHARS, run.end(), _MAX_RUN_CHARS):
            yield text[start:cut]
            start = cut
    yield text[start:]


@cache
def _encoding() -> "HarmonyEncoding":
    from openai_harmony import load_harmony_encoding  # noqa: PLC0415  the server imports this package at its start

    with _LOADING, _vocabulary_in_environment():
        return load_harmony_encoding("HarmonyGptOss")


@contextmanager
def _vocabulary_in_environment() -> Iterator[None]:
    """Point openai-harmony at the shipped vocabulary; not for good, because kernels inherit the environment."""
    if _ENCODINGS_BASE in os.environ:
        yield
        return
    os.environ[_ENCODINGS_BASE] = str(vocabulary.directory())
    try:
        yield
    finally:
        del os.environ[_ENCODINGS_BASE]
