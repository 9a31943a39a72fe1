"""Cut Markdown that grows into pages, so that showing what is new costs the same however long the text has become.

Pure. A page that another one follows never changes, and where the cuts fall does not depend on how the text came.
Nearly every cut falls between two blocks. One that goes through a code block or a table closes it, and opens it again
on the next page.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

PAGE_CHARS = 4_000
"""A page that is longer ends at the nearest place between two blocks."""
MAX_PAGE_CHARS = 16_000
"""A page that is longer ends at a line, and where there is none, here."""
_MAX_OPENING_CHARS = 400

_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_FENCE = re.compile(r" {0,3}(?:(?P<ticks>`{3,})[^`\n]*|(?P<tildes>~{3,})[^\n]*)\n?$")
_TABLE_DELIMITERS = re.compile(r"[ |:-]*--[ |:-]*\n$")


@dataclass(slots=True)
class Pages:
    """The pages of one text, which is handed in again each time it has grown."""

    _start: int = 0
    """Where in the text the last page begins."""
    _opening: str = ""
    """What the last page says before that: the head of the block that the cut went through."""
    _num_ended: int = 0

    def update(self, text: str) -> list[tuple[int, str]]:
        """Return the number and the Markdown of each page that ended since the last call, and of the last page.

        Args:
            text: the whole text; it begins with the text of the last call.
        """
        changed = []
        while (cut := _find_cut(rest := self._opening + text[self._start :])) is not None:
            changed.append((self._num_ended, rest[: cut.end] + cut.closing))
            self._start += cut.end - len(self._opening)
            self._opening = cut.opening
            self._num_ended += 1
        return [*changed, (self._num_ended, rest)]


@dataclass(frozen=True, slots=True)
class _Cut:
    """Where a page ends, what closes its last block, and what opens that block again."""

    end: int
    closing: str = ""
    opening: str = ""


@dataclass(slots=True)
class _Blocks:
    """What the lines of a page, read one after the other, have left open."""

    fence: str = ""
    """The line that opened the code block; empty outside of one."""
    table: list[str] = field(default_factory=list)
    """The first two lines of the table."""
    is_after_blank: bool = False

    def read(self, line: str) -> None:
        """Take the next line."""
        if self.fence:
            self.fence = "" if _closes(line, self.fence) else self.fence
        elif _FENCE.match(line):
            self.fence = line
        is_row = not self.fence and line.startswith("|")
        self.table = [*self.table, line][:2] if is_row else []
        self.is_after_blank = not line.strip()

    def end_before(self, line: str) -> bool:
        """Say whether all blocks end before `line`, and it continues no item of a list."""
        return self.is_after_blank and not self.fence and not line[0].isspace()

    def cut_at(self, end: int, *, is_in_line: bool) -> _Cut:
        """Return a cut through what is open."""
        newline = "\n" if is_in_line else ""
        if 0 < len(self.fence) <= _MAX_OPENING_CHARS:
            return _Cut(end, f"{newline}{_marks(self.fence)}\n", self.fence)
        head = "".join(self.table)
        is_table = len(self.table) == 2 and bool(_TABLE_DELIMITERS.match(self.table[1]))  # noqa: PLR2004
        if is_table and not is_in_line and len(head) <= _MAX_OPENING_CHARS:
            return _Cut(end, "", head)
        return _Cut(end)


def _find_cut(text: str) -> _Cut | None:
    """Return where the page at the beginning of `text` ends; None if that is not known yet."""
    if len(text) <= PAGE_CHARS:
        return None
    blocks = _Blocks()
    between_blocks: _Cut | None = None
    at_line: _Cut | None = None
    for start, line in _lines(text):
        if start > MAX_PAGE_CHARS or (start > PAGE_CHARS and between_blocks is not None):
            break
        if start >= PAGE_CHARS // 2 and blocks.end_before(line):
            between_blocks = _Cut(start)
        if start >= MAX_PAGE_CHARS // 2:
            at_line = blocks.cut_at(start, is_in_line=False)
        blocks.read(line)
    if between_blocks is not None or len(text) <= MAX_PAGE_CHARS:
        return between_blocks
    return at_line or blocks.cut_at(MAX_PAGE_CHARS, is_in_line=True)


def _lines(text: str) -> Iterator[tuple[int, str]]:
    return ((match.start(), match[0]) for match in _LINE.finditer(text))


def _marks(fence: str) -> str:
    match = _FENCE.match(fence)
    assert match is not None  # it is the line of a fence
    return match["ticks"] or match["tildes"]


def _closes(line: str, fence: str) -> bool:
    marks, stripped = _marks(fence), line.strip()
    return len(stripped) >= len(marks) and set(stripped) == {marks[0]} and not line.startswith("    ")
