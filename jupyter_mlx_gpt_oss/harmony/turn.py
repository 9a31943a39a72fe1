"""The messages of one turn to its events: reasoning, content and calls, joined as the client gets them.

Knows no tokens. Policy: the messages of a kind are joined by a newline, which is streamed too; text without a header
is reasoning if a proper message follows, else content. Source: tests/data/harmony/.
"""

from jupyter_mlx_gpt_oss.harmony.arguments import ArgumentText
from jupyter_mlx_gpt_oss.harmony.events import (
    Event,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    ToolCallStarted,
)
from jupyter_mlx_gpt_oss.harmony.header import Destination, Heading
from jupyter_mlx_gpt_oss.harmony.python_tool import CodeText


class TurnText:
    """Collect the text of a turn, message by message; `take_events` returns what is new."""

    def __init__(self) -> None:
        self._reasoning = _JoinedMessages()
        self._content = _JoinedMessages()
        self._undecided = _JoinedMessages()
        self._undecided_pieces: list[str] = []
        self._num_undecided_tokens = 0
        self._num_reasoning_tokens = 0
        self._destination = Destination.UNDECIDED
        self._call = _Call("", ArgumentText())
        self._events: list[Event] = []

    @property
    def num_reasoning_tokens(self) -> int:
        """Tokens of text so far that went into reasoning."""
        return self._num_reasoning_tokens

    def take_events(self) -> list[Event]:
        """Return the events since the last time."""
        events, self._events = self._events, []
        return events

    def keep_prose(self, text: str) -> None:
        """Take a message without a header."""
        if text.strip():
            self._undecided.start()
            self._undecided_pieces.append(self._undecided.join(text))

    def open(self, heading: Heading) -> None:
        """Start a message."""
        self.keep_prose(heading.prose)
        self._destination = heading.destination
        if heading.destination is Destination.UNDECIDED:
            self._undecided.start()
            return
        self._decide_for_reasoning()
        self._reasoning.start()
        self._content.start()
        self._call = _Call(heading.name, CodeText() if heading.is_code else ArgumentText())

    def write(self, text: str, num_tokens: int) -> None:
        """Add text to the open message; `num_tokens` tokens were sampled for it."""
        match self._destination:
            case Destination.REASONING:
                self._num_reasoning_tokens += num_tokens
                if text:
                    self._events.append(ReasoningDelta(self._reasoning.join(text)))
            case Destination.CONTENT if text:
                self._events.append(TextDelta(self._content.join(text)))
            case Destination.CALL:
                self._events += self._call.feed(text)
            case Destination.UNDECIDED:
                self._num_undecided_tokens += num_tokens
                if text:
                    self._undecided_pieces.append(self._undecided.join(text))

    def close(self, *, truncated: bool = False, is_repeated: bool = False) -> None:
        """End the open message.

        Args:
            truncated: the completion was cut off here.
            is_repeated: a new header follows at once, so that a call without any text is the same header doubled.
        """
        if self._destination is Destination.CALL:
            self._events += self._call.close(truncated=truncated, is_repeated=is_repeated)

    def finish(self) -> None:
        """Say that no message follows: what is undecided is content."""
        if self._undecided_pieces:
            self._content.start()
            self._events.append(TextDelta(self._content.join("".join(self._undecided_pieces))))
            self._undecided_pieces = []

    def _decide_for_reasoning(self) -> None:
        if self._undecided_pieces:
            self._reasoning.start()
            self._events.append(ReasoningDelta(self._reasoning.join("".join(self._undecided_pieces))))
            self._num_reasoning_tokens += self._num_undecided_tokens
        self._undecided, self._undecided_pieces, self._num_undecided_tokens = _JoinedMessages(), [], 0


class _JoinedMessages:
    """Put a newline between messages, before the first text of the next one."""

    def __init__(self) -> None:
        self._has_text = False
        self._is_at_start = True

    def start(self) -> None:
        self._is_at_start = True

    def join(self, text: str) -> str:
        joint = "\n" if self._has_text and self._is_at_start else ""
        self._has_text, self._is_at_start = True, False
        return joint + text


class _Call:
    """One call; it starts with its first argument text, or at its end."""

    def __init__(self, name: str, arguments: ArgumentText | CodeText) -> None:
        self._name = name
        self._arguments = arguments
        self._is_started = False
        self._is_empty = True

    def feed(self, text: str) -> list[Event]:
        self._is_empty = self._is_empty and not text.strip()
        return self._deltas(self._arguments.feed(text))

    def close(self, *, truncated: bool, is_repeated: bool) -> list[Event]:
        if self._is_empty and is_repeated:
            return []
        rest = self._arguments.close(truncated=truncated)
        if not (self._is_started or rest or truncated):
            rest = "{}"
        return self._deltas(rest) or self._start()

    def _deltas(self, arguments: str) -> list[Event]:
        return [*self._start(), ToolCallDelta(arguments)] if arguments else []

    def _start(self) -> list[Event]:
        if self._is_started:
            return []
        self._is_started = True
        return [ToolCallStarted(self._name)]
