"""Show a transcript while it grows: in a notebook as outputs that are updated, in a terminal as a stream.

Knows Jupyter's display messages, and nothing of IPython, HTTP or conversations. A finished output is never touched again, so a
`<details>` that the reader has opened or closed stays as they left it.
"""

import threading
from collections.abc import Callable
from contextvars import copy_context
from typing import Protocol, TextIO

from jupyter_mlx_gpt_oss.magics.outputs import Output, SegmentOutputs
from jupyter_mlx_gpt_oss.magics.render_html import quiet_line_to_html
from jupyter_mlx_gpt_oss.magics.render_text import result_to_text, segment_to_text, unmasked, visible
from jupyter_mlx_gpt_oss.magics.segments import (
    ReasoningSegment,
    Segment,
    TextSegment,
    ToolCallSegment,
    ToolResult,
)
from jupyter_mlx_gpt_oss.magics.transcript import Transcript

# A front end that spends more than a fifth of its time on one output falls behind a fast model.
RENDER_TIME_FACTOR = 5


class CellDisplay(Protocol):
    """Where one cell shows its transcript. `finish` is its last call."""

    def progress(self, line: str) -> None:
        """Show one line that disappears when something comes."""

    def show(self, transcript: Transcript) -> None:
        """Show what is new in `transcript`, possibly a little later."""

    def show_at_once(self, transcript: Transcript) -> None:
        """Show all of `transcript` now."""

    def make_room(self) -> None:
        """Let something else, such as a tool, write below what is shown."""

    def finish(self, transcript: Transcript, lines: list[str]) -> None:
        """Show all of `transcript`, and the quiet lines below it."""


def start_daemon_timer(seconds: float, function: Callable[[], None]) -> None:
    """Call `function` in a thread of its own, which sees the context variables of the caller: its cell."""
    timer = threading.Timer(seconds, copy_context().run, [function])
    timer.daemon = True
    timer.start()


class NotebookDisplay:
    """Outputs of a notebook's cell: those of each segment, one for the last line.

    The line of progress lives in the output that the next segment, or the last line, takes over: so nothing
    is left of it.

    Args:
        publish: IPython's `DisplayPublisher.publish`.
        clock: seconds, monotonic.
        update_interval_seconds: the least time between two updates; a slow rendering makes it longer.
        hide_reasoning: show that the model reasons, and not what.
        is_json: the answer is JSON, and shown as it stands.
        start_timer: has a function called after some seconds.
    """

    def __init__(
        self,
        publish: Callable[..., None],
        clock: Callable[[], float],
        update_interval_seconds: float,
        *,
        hide_reasoning: bool,
        is_json: bool = False,
        start_timer: Callable[[float, Callable[[], None]], object] = start_daemon_timer,
    ) -> None:
        self._publish = publish
        self._clock = clock
        self._update_interval_seconds = update_interval_seconds
        self._hide_reasoning = hide_reasoning
        self._is_json = is_json
        self._start_timer = start_timer
        self._segments: list[SegmentOutputs] = []
        self._spare: Output | None = None
        self._next_update_seconds = 0.0
        self._waiting: Transcript | None = None
        self._has_timer = False
        # SAFETY: all of the above belongs to the cell's thread, and to a timer's while that holds the lock.
        self._lock = threading.Lock()

    def progress(self, line: str) -> None:
        """Show `line` below everything, until something takes its place."""
        with self._lock:
            self._show_progress(line)

    def show(self, transcript: Transcript) -> None:
        """Show what is new; text that only grew waits until the next update is due, whether or not more comes."""
        with self._lock:
            is_new = len(self._visible(transcript)) > len(self._segments)
            seconds = self._next_update_seconds - self._clock()
            if is_new or seconds <= 0:
                self._show(transcript)
                return
            self._waiting = transcript
            if not self._has_timer:
                self._has_timer = True
                self._start_timer(seconds, self._show_waiting)

    def show_at_once(self, transcript: Transcript) -> None:
        """Show all that is new, and set when the next update is due."""
        with self._lock:
            self._show(transcript)

    def make_room(self) -> None:
        """Do nothing: each output of a cell stands for itself."""

    def finish(self, transcript: Transcript, lines: list[str]) -> None:
        """Show all of it, without waiting, and `lines` below it."""
        with self._lock:
            self._waiting = None
            self._update(transcript)
            html = "".join(quiet_line_to_html(line) for line in lines)
            self._new_output().put(html, "\n".join(lines))

    def _show_waiting(self) -> None:
        with self._lock:
            self._has_timer = False
            if self._waiting is not None:
                self._show(self._waiting)

    def _show(self, transcript: Transcript) -> None:
        self._waiting = None
        started_seconds = self._clock()
        self._update(transcript)
        self._show_hidden_reasoning(transcript)
        ended_seconds = self._clock()
        pause_seconds = RENDER_TIME_FACTOR * (ended_seconds - started_seconds)
        self._next_update_seconds = ended_seconds + max(self._update_interval_seconds, pause_seconds)

    def _show_progress(self, line: str) -> None:
        if self._spare is None:
            self._spare = Output(self._publish)
        self._spare.put(quiet_line_to_html(line), line)

    def _visible(self, transcript: Transcript) -> list[Segment]:
        return _visible_segments(transcript, hide_reasoning=self._hide_reasoning)

    def _update(self, transcript: Transcript) -> None:
        for number, segment in enumerate(self._visible(transcript)):
            if number == len(self._segments):
                self._segments.append(SegmentOutputs(self._new_output, is_json=self._is_json))
            self._segments[number].put(segment, is_growing=segment is transcript.growing)

    def _new_output(self) -> Output:
        output, self._spare = self._spare or Output(self._publish), None
        return output

    def _show_hidden_reasoning(self, transcript: Transcript) -> None:
        last = transcript.segments[-1] if transcript.segments else None
        if self._hide_reasoning and isinstance(last, ReasoningSegment) and last.ended_seconds is None:
            self._show_progress("reasoning…")


class TerminalDisplay:
    """Plain text on a terminal, written once and never taken back. It has no line of progress.

    Args:
        out: where to write: a terminal's standard output.
        hide_reasoning: leave the reasoning out.
    """

    def __init__(self, out: TextIO, *, hide_reasoning: bool) -> None:
        self._out = out
        self._hide_reasoning = hide_reasoning
        self._written: list[Segment] = []
        self._is_at_line_start = True

    def progress(self, line: str) -> None:
        """Say nothing: a terminal's line, once written, would stay."""

    def show(self, transcript: Transcript) -> None:
        """Write what is new: a terminal is always at once."""
        self.show_at_once(transcript)

    def show_at_once(self, transcript: Transcript) -> None:
        """Write what is new."""
        segments = self._visible(transcript)
        for number, segment in enumerate(segments):
            if number >= len(self._written):
                self._write_paragraph("\n" * bool(number) + _beginning(segment))
            elif self._written[number] is not segment:
                self._write_more(self._written[number], segment)
        self._written = segments
        self._out.flush()

    def make_room(self) -> None:
        """Begin a new line."""
        self._write_paragraph("")
        self._out.flush()

    def finish(self, transcript: Transcript, lines: list[str]) -> None:
        """Write the rest, and `lines` below it."""
        self.show_at_once(transcript)
        self._write_paragraph("".join(f"[{line}]\n" for line in lines))
        self._out.flush()

    def _write_more(self, before: Segment, segment: Segment) -> None:
        match before, segment:
            case ToolCallSegment(result=None), ToolCallSegment(result=ToolResult() as result):
                if not result.is_shown:
                    self._write_paragraph(result_to_text(segment.name, result))
            case _:
                self._write(_stream_text(segment)[len(_stream_text(before)) :])

    def _write_paragraph(self, text: str) -> None:
        self._write(text if self._is_at_line_start else f"\n{text}")

    def _write(self, text: str) -> None:
        self._out.write(visible(text))
        if text:
            self._is_at_line_start = text.endswith("\n")

    def _visible(self, transcript: Transcript) -> list[Segment]:
        return _visible_segments(transcript, hide_reasoning=self._hide_reasoning)


def _visible_segments(transcript: Transcript, *, hide_reasoning: bool) -> list[Segment]:
    if not hide_reasoning:
        return list(transcript.segments)
    return [segment for segment in transcript.segments if not isinstance(segment, ReasoningSegment)]


def _beginning(segment: Segment) -> str:
    match segment:
        case ReasoningSegment():
            return f"[Reasoning]\n{segment.text}"
        case ToolCallSegment(result=ToolResult()):
            return segment_to_text(segment)
        case ToolCallSegment(name=name):
            head = f"[tool] {name} " if segment.code is None else "[python]\n"
            return head + _stream_text(segment)
        case TextSegment():
            return segment.text


def _stream_text(segment: Segment) -> str:
    """Return what grows while the segment streams."""
    if isinstance(segment, ToolCallSegment):
        return unmasked(segment.arguments if segment.code is None else segment.code)
    return segment.text
