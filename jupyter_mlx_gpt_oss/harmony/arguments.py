"""The text of a tool call's arguments to the JSON that a client gets, piece by piece.

What is certain is let through at once; text is held back only while its meaning depends on what follows.
Policy: the first complete JSON object verbatim; `[object]` unwrapped; a ``` fence removed; nothing is `{}`;
what is not JSON stays as it is. Source: tests/data/harmony/args_*.json.
"""

import json
import logging
import re
import string
from enum import Enum, auto

_logger = logging.getLogger(__name__)

_MAX_OPENING_CHARS = 64
_FENCE = "```"
# The word after a fence goes if a line ends there, or if JSON follows.
_FENCE_OPENING = re.compile(r"```(?:[A-Za-z]*[ \t]*\r?\n|[A-Za-z]*[ \t]*(?=[{\[]))")
_FENCE_BEGUN = re.compile(r"`{1,3}|```[A-Za-z]*[ \t]*\r?")


class ArgumentText:
    """Clean the arguments of one call: `feed` and `close` return what the client may have by now.

    The pieces, joined, do not depend on how the text was cut.
    """

    def __init__(self) -> None:
        self._stage = _Stage.OPENING
        self._opening = ""
        self._is_fenced = False
        self._object: list[str] = []
        self._end = _ObjectEnd()
        self._bracket = ""
        self._tail: list[str] = []
        self._num_dropped = 0

    def feed(self, text: str) -> str:
        """Take more text; return what is certain. O(length of the text), amortised."""
        match self._stage:
            case _Stage.OPENING:
                return self._open(self._opening + text)
            case _Stage.OBJECT:
                return self._continue_object(text)
            case _Stage.RAW:
                return self._hold_tail(text)
            case _Stage.FINISHED:
                self._num_dropped += len(text.strip())
                return ""

    def close(self, *, truncated: bool) -> str:
        """Return the rest. Truncated text is kept to its last character; a whole text loses its outer space."""
        if self._num_dropped:
            _logger.debug("dropped %d characters after the arguments of a tool call", self._num_dropped)
        held = self._opening + self._flush_bracket() + "".join(self._tail)
        if truncated:
            return held
        held = held.rstrip()
        return held.removesuffix(_FENCE).rstrip() if self._is_fenced else held

    def _open(self, text: str) -> str:
        self._opening = text.lstrip()
        if not self._opening:
            return ""
        if _is_undecided(self._opening):
            return ""
        opening, self._opening = self._opening, ""
        fence = _FENCE_OPENING.match(opening, 0, _MAX_OPENING_CHARS + 1)
        if fence and not self._is_fenced:
            self._is_fenced = True
            return self._open(opening[fence.end() :])
        start = opening.find("{", 0, _MAX_OPENING_CHARS + 1)
        if start < 0 or opening[:start].rstrip() not in {"", "["}:
            self._stage = _Stage.RAW
            return self._hold_tail(opening)
        self._stage = _Stage.OBJECT
        self._bracket = opening[:start]
        return self._continue_object(opening[start:])

    def _continue_object(self, text: str) -> str:
        end = self._end.find(text)
        if end is None:
            self._object.append(text)
            return "" if self._bracket else self._hold_tail(text)
        self._object.append(text[:end])
        whole = "".join(self._object)
        if not _is_json(whole):
            self._stage = _Stage.RAW
            bracketed = self._bracket + whole + text[end:]
            return self._hold_tail(bracketed if self._bracket else text)
        self._stage = _Stage.FINISHED
        self._num_dropped = len(text[end:].strip())
        return whole if self._bracket else self._hold_tail(text[:end])

    def _flush_bracket(self) -> str:
        if self._stage is _Stage.OBJECT and self._bracket:
            return self._bracket + "".join(self._object)
        return ""

    def _hold_tail(self, text: str) -> str:
        """Hold back what would have to go if the text ended here: white space, and a closing fence."""
        kept = text.rstrip(string.whitespace + "`") if self._is_fenced else text.rstrip()
        if not kept:
            self._tail.append(text)
            return ""
        certain = "".join(self._tail) + kept
        self._tail = [text[len(kept) :]]
        return certain


class _Stage(Enum):
    OPENING = auto()
    """White space, a fence or a bracket, perhaps; at most _MAX_OPENING_CHARS are held."""
    OBJECT = auto()
    """Inside the first JSON object; if a bracket stood before it, all of it is held."""
    RAW = auto()
    """Not JSON."""
    FINISHED = auto()
    """The object is complete; what follows is dropped."""


class _ObjectEnd:
    """Find the brace that closes the first object, in text that comes in pieces."""

    def __init__(self) -> None:
        self._state = "plain"
        self._depth = 0

    def find(self, text: str) -> int | None:
        """Return the index just after the closing brace, or None if it is not in this piece."""
        for index, char in enumerate(text):
            self._state, change = _STEPS.get((self._state, char), (_STAYS[self._state], 0))
            self._depth += change
            if change and not self._depth:
                return index + 1
        return None


_STEPS = {
    ("plain", '"'): ("string", 0),
    ("plain", "{"): ("plain", 1),
    ("plain", "["): ("plain", 1),
    ("plain", "}"): ("plain", -1),
    ("plain", "]"): ("plain", -1),
    ("string", '"'): ("plain", 0),
    ("string", "\\"): ("escape", 0),
}
_STAYS = {"plain": "plain", "string": "string", "escape": "string"}


def _is_undecided(opening: str) -> bool:
    if len(opening) > _MAX_OPENING_CHARS:
        return False
    return opening.strip() == "[" or bool(_FENCE_BEGUN.fullmatch(opening))


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
