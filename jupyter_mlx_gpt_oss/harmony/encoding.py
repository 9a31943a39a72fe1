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
MAX_PIECE_CHARS = 1024
"""Of what openai-harmony is given at once: it holds Python's lock meanwhile, 1 ms for prose and 10 ms at the worst."""
SAFE_CUT = re.compile(
    r"(?<=\S)(?=[^\S\r\n\x1c-\x1f])"  # a space or tab is the first of what it belongs to, or has only white space before it
    r"|(?<=[A-Za-z0-9])(?=[\r\n])"  # a line break never belongs to what a letter or digit belongs to
    r"|(?<=[\r\n])(?=[ \t]*[^\s/])"  # the last line break of a stretch ends what it belongs to, unless a slash follows
)
"""Places where a text can be cut without a change of its tokens.

The vocabulary's splitting (o200k_base's, in `worker/constraint.py`) never looks back. So a cut changes nothing if one of
its stretches ends there anyway, and no expression that is tried before the cut can tell what follows it from the end of
the text. Source: tiktoken, `openai_public.py`; tests/harmony/test_encoding.py tries all short texts.
"""
_LAST_SAFE_CUT = re.compile(rf"(?s:.+)(?:{SAFE_CUT.pattern})")
_MAX_RUN_CHARS = 512
# NOTE: "a" * 200_000 takes openai-harmony 65 s and " " * 1_000_000 makes it panic, so longer runs are cut.
# Unicode's White_Space, which its splitting goes by, has no U+001C to U+001F; Python's \s has them.
_LONG_RUN = re.compile(
    "|".join(f"[{run}]{{{_MAX_RUN_CHARS + 1},}}" for run in (r"\S\x1c-\x1f", r"^\S\x1c-\x1f", r"\r\n/"))
)


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
    return [token_id for _, token_ids in encode_pieces(text) for token_id in token_ids]


def encode_pieces(text: str) -> Iterator[tuple[int, list[int]]]:
    """Yield how many characters are encoded next, and their ids, a piece at a time; together they are as `encode`'s."""
    encoding = _encoding()
    for piece in pieces(_whole_text(text)):
        yield len(piece), encoding.encode(piece, disallowed_special=())


def decode(token_ids: list[int]) -> str:
    """Return the text of ids, control tokens written out; for people and tests, never for a prompt."""
    return str(_encoding().decode(token_ids))


def pieces(text: str) -> Iterator[str]:
    """Cut a text where that changes no token, into pieces of MAX_PIECE_CHARS at the most; runs without end anywhere."""
    start = 0
    while len(text) - start > MAX_PIECE_CHARS:
        found = _LAST_SAFE_CUT.match(text, start, start + MAX_PIECE_CHARS + 1)
        end = found.end() if found else start + _MAX_RUN_CHARS
        yield from _short_runs(text[start:end])
        start = end
    yield from _short_runs(text[start:])


def _short_runs(text: str) -> Iterator[str]:
    start = 0
    for run in _LONG_RUN.finditer(text):
        for cut in range(run.start() + _MAX_RUN_CHARS, run.end(), _MAX_RUN_CHARS):
            yield text[start:cut]
            start = cut
    yield text[start:]


def _whole_text(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


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
    with vocabulary.directory() as directory:
        os.environ[_ENCODINGS_BASE] = str(directory)
        try:
            yield
        finally:
            del os.environ[_ENCODINGS_BASE]
