"""Turn completion tokens into Harmony events, one token at a time.

Knows nothing of HTTP, OpenAI types or MLX. Total: any ids give events, never an exception; no character of a message
is lost, no call is invented. Which token ends what is in this file; header.py reads headers, turn.py joins messages.
Source: openai/harmony docs/format.md; malformed cases: tests/data/harmony/, explained in docs/harmony.md.
"""

from collections.abc import Iterable

from jupyter_mlx_gpt_oss.harmony.encoding import (
    CHANNEL,
    CONSTRAIN,
    END,
    MESSAGE,
    START,
    STOP_TOKEN_IDS,
    TextDecoder,
)
from jupyter_mlx_gpt_oss.harmony.events import Event, TurnEnded
from jupyter_mlx_gpt_oss.harmony.header import Destination, Header, Heading
from jupyter_mlx_gpt_oss.harmony.turn import TurnText

MAX_HEADER_TOKENS = 48
"""A header with more tokens than this is none: its text is the message."""

_STARTS = frozenset({START, CHANNEL})
_ENDS = frozenset({END, *STOP_TOKEN_IDS})


class HarmonyParser:
    """Parse one turn of the assistant; it starts right after the prompt's `<|start|>assistant`.

    Args:
        tools: the names offered; `python` is GPT-OSS's own python tool.
    """

    def __init__(self, tools: Iterable[str] = ()) -> None:
        self._tools = frozenset(tools)
        # The longest name fits into a header, one token a character at the worst.
        self._max_header_tokens = MAX_HEADER_TOKENS + max(map(len, self._tools), default=0)
        self._decoder = TextDecoder()
        self._turn = TurnText()
        self._header: Header | None = Header(self._tools, is_started=False)  # None: inside a message
        self._heading = Heading(Destination.UNDECIDED)  # of the open message
        self._unoffered_tool = ""
        self._is_finished = False
        self._is_closed = False

    @property
    def is_finished(self) -> bool:
        """Whether the model's turn is over; tokens that follow do not count."""
        return self._is_finished

    @property
    def num_reasoning_tokens(self) -> int:
        """Tokens of text so far that went into reasoning."""
        return self._turn.num_reasoning_tokens

    @property
    def unoffered_tool(self) -> str:
        """The tool whose call ended the turn although it was not offered; empty if no such call did."""
        return self._unoffered_tool

    def resume(self) -> None:
        """Take up a turn that has ended: the `<|start|>assistant` of its next message stands in the prompt."""
        self._header = Header(self._tools, is_started=False)
        self._unoffered_tool = ""
        self._is_finished = False

    def feed(self, token_id: int) -> list[Event]:
        """Take one token; return what it adds. O(1) amortised, whatever came before."""
        if self._is_finished or self._is_closed:
            return []
        if self._header is None:
            self._feed_message(token_id)
        else:
            self._feed_header(self._header, token_id)
        return self._take_events()

    def close(self, *, truncated: bool = False) -> list[Event]:
        """Say that no token follows; return what was held back.

        Args:
            truncated: the completion was cut off, so that a header or arguments may be incomplete.
        """
        if self._is_finished or self._is_closed:
            return []
        self._is_closed = True
        rest = self._decoder.flush()
        if self._header is None:
            self._turn.write(rest, 0)
            self._turn.close(truncated=truncated)
        else:
            self._header.add(rest)
            heading = self._header.read_cut_short() if truncated else self._header.read(is_complete=False)
            self._take_unopened(heading, self._header.num_text_tokens)
        self._turn.finish()
        return self._take_events()

    def _take_events(self) -> list[Event]:
        events = self._turn.take_events()
        return [*events, TurnEnded()] if self._is_finished else events

    def _feed_message(self, token_id: int) -> None:
        if self._decoder.is_text(token_id):
            self._turn.write(self._decoder.feed(token_id), 1)
        elif token_id in _STARTS or token_id in _ENDS:
            self._turn.write(self._decoder.flush(), 0)
            self._turn.close(is_repeated=token_id in _STARTS)
            self._go_on(self._heading, token_id)

    def _feed_header(self, header: Header, token_id: int) -> None:
        header.num_tokens += 1
        if self._decoder.is_text(token_id):
            header.num_text_tokens += 1
            header.add(self._decoder.feed(token_id))
        else:
            header.add(self._decoder.flush())
            self._feed_control(header, token_id)
        if self._header is header and header.num_tokens > self._max_header_tokens:
            self._open(header.read(is_complete=False), header.num_text_tokens)

    def _feed_control(self, header: Header, token_id: int) -> None:
        if token_id == MESSAGE:
            self._open(header.read(is_complete=True), 0)
        elif token_id == CONSTRAIN:
            header.add_content_type()
        elif token_id == CHANNEL and not header.holds_prose():
            header.add_channel()
        elif token_id in _STARTS or token_id in _ENDS:
            heading = header.read(is_complete=False)
            if token_id not in _STARTS or heading.body.strip():
                self._take_unopened(heading, header.num_text_tokens)
            else:
                self._turn.keep_prose(heading.prose)
            self._go_on(heading, token_id)

    def _open(self, heading: Heading, num_tokens: int) -> None:
        """Start a message; `num_tokens` tokens of its text stand in the header."""
        if heading.destination is Destination.FOREIGN:
            self._finish()
            return
        self._turn.open(heading)
        self._turn.write(heading.body, num_tokens)
        self._heading = heading
        self._header = None

    def _take_unopened(self, heading: Heading, num_tokens: int) -> None:
        """Take a message that ended before its header was complete; only a call may have no text at all."""
        if heading.body.strip() or heading.destination is Destination.CALL:
            self._turn.open(heading)
            self._turn.write(heading.body, num_tokens)
            self._turn.close()
        else:
            self._turn.keep_prose(heading.prose)

    def _go_on(self, heading: Heading, token_id: int) -> None:
        """Leave a message by the token that closed it: the turn ends, or the next header starts."""
        is_over = heading.destination is Destination.FOREIGN or (token_id == END and heading.ends_turn)
        if is_over or token_id in STOP_TOKEN_IDS:
            self._unoffered_tool = heading.name if heading.destination is Destination.REASONING else ""
            self._finish()
            return
        self._header = Header(self._tools, is_started=token_id == START)
        if token_id == CHANNEL:
            self._header.add_channel()

    def _finish(self) -> None:
        self._turn.finish()
        self._is_finished = True
