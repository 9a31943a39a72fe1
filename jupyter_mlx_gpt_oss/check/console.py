"""Progress and results to lines of a terminal; on one that can, the running check shows live what it does."""

import shutil
import time
from typing import TextIO

from jupyter_mlx_gpt_oss.check.result import CheckResult

_CLEAR_LINE = "\r\x1b[K"
_NAME_WIDTH = 13
_LIVE_SECONDS = 0.1  # between two changes: drawing must not slow down what is measured


class Console:
    """One line a check.

    Args:
        stream: where to write; a terminal gets a line that changes while a check runs.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._is_live = stream.isatty()
        self._name = ""
        self._shown_at = 0.0
        self._started_at = time.monotonic()

    def begin(self, name: str) -> None:
        """Begin a check."""
        self._name = name
        self._started_at = time.monotonic()
        self.say("")
        self._shown_at = 0.0

    def say(self, text: str) -> None:
        """Show what the running check does; nothing of it stays."""
        now = time.monotonic()
        if self._is_live and now - self._shown_at >= _LIVE_SECONDS:
            self._shown_at = now
            width = shutil.get_terminal_size().columns - 1
            self._write(_CLEAR_LINE + f"...  {self._name:{_NAME_WIDTH}} {text}"[:width])

    def end(self, result: CheckResult) -> None:
        """Show what a check found."""
        seconds = time.monotonic() - self._started_at
        self.line(f"{result.status:4} {result.name:{_NAME_WIDTH}} {result.sentence} ({seconds:.1f} s)")

    def line(self, text: str) -> None:
        """Write a line that stays."""
        self._write((_CLEAR_LINE if self._is_live else "") + text + "\n")

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()
