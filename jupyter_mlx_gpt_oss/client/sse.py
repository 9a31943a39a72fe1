"""Turn the bytes of an event stream into its data frames and comments, however the bytes are split.

Knows nothing of HTTP or JSON. Every rule that affects the decoder's state is in this file.
Source: WHATWG HTML, section 9.2.6, "Interpreting an event stream".
"""

import codecs
import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SseFrame:
    """One dispatched event: the `data` lines joined by newlines."""

    data: str


@dataclass(frozen=True, slots=True)
class SseComment:
    """A line that begins with a colon, without the colon and one leading space."""

    text: str


_LINE_END = re.compile(r"\r\n|\n|\r")


class SseDecoder:
    """Decode an event stream incrementally.

    A frame counts when its empty line has arrived; what follows the last empty line of a stream that ends is
    not a frame, and is never given out (section 9.2.6). `id`, `event` and `retry` fields are read over:
    chat completions have none.
    """

    def __init__(self) -> None:
        self._utf8 = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._at_start = True
        self._tail = ""
        self._data: list[str] = []

    def feed(self, piece: bytes) -> list[SseFrame | SseComment]:
        """Take the next bytes, and return the frames and comments that they complete, in order."""
        text = self._utf8.decode(piece)
        if self._at_start and text:
            text = text.removeprefix("\ufeff")
            self._at_start = False
        *lines, self._tail = self._split(self._tail + text)
        found = (self._take_line(line) for line in lines)
        return [item for item in found if item is not None]

    @staticmethod
    def _split(text: str) -> list[str]:
        # A carriage return at the very end may be the first half of CRLF: it waits for the next character.
        if text.endswith("\r"):
            *lines, last = _LINE_END.split(text[:-1])
            return [*lines, last + "\r"]
        return _LINE_END.split(text)

    def _take_line(self, line: str) -> SseFrame | SseComment | None:
        if not line:
            return self._dispatch()
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not field:
            return SseComment(value)
        if field == "data":
            self._data.append(value)
        return None

    def _dispatch(self) -> SseFrame | None:
        if not self._data:
            return None
        frame = SseFrame("\n".join(self._data))
        self._data = []
        return frame
