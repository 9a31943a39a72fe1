r"""Turn Markdown that is still being written into Markdown that can be shown, so that nothing flips as it goes on.

Pure. What is half written waits (`\[ x^2`, the head of a table, a link's address) or is closed (`**bold`, a table's row).
Only the last block of a text can be half written, so that the cost is that of a search for fences, and of that block.
"""

import re

MAX_WAITING_CHARS = 1_000
"""What is half written and longer is taken for something else, and shown."""

_FENCE = re.compile(
    r"^[ \t>]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)?(?P<marks>`{3,}|~{3,})(?P<info>[^`\n]*)$", re.MULTILINE
)
_FENCE_MARKS = re.compile(r"^[ \t>]*[`~]+[ \t]*\Z", re.MULTILINE)
_BLANK_LINE = re.compile(r"\n[ \t]*(?=\n)")
_TABLE = re.compile(r"(?:^[ \t]*\|[^\n]*(?:\n|\Z))+\Z", re.MULTILINE)
_DELIMITERS = re.compile(r"[ \t]*\|[ \t|:-]*\n?\Z")
_CELLS = re.compile(r"[ \t]*\|(?:(?:[^\\|\n]|\\[^\n])*\|)+")
# A line of these alone may still become a list, a heading, a rule or a fence.
_MARKUP_LINE = re.compile(r"^[ \t]*(?:[-=*+_#>|:`~]+|\d{1,3}[.)]?)?[ \t]*\Z", re.MULTILINE)
_HALF_MARK = re.compile(r"[*~`$\\]+\Z")
_WAITS = rf"(?=[\s\S]{{0,{MAX_WAITING_CHARS}}}\Z)"
_ITEM = r"^[ \t>]*(?:[-*+]|\d{1,9}[.)]|\#{1,6})[ \t]"
_INLINE = re.compile(
    rf"""(?P<item>{_ITEM})
    |\\\([\s\S]+?\\\) | \\\[[\s\S]+?\\\] | \$\$[^$]+\$\$ | \$(?![\s$])[^$\n]*(?<!\s)\$(?!\d)
    |(?P<open_formula>(?:\\\(|\\\[|\$\$){_WAITS} | \$(?=[A-Za-z\\(][^$\n]{{0,80}}\Z))
    |(?P<ticks>`+)(?!`)[\s\S]*?(?<!`)(?P=ticks)(?!`)
    |(?P<open_code>`+)(?![\s\S]*{_ITEM})
    |\\.
    |(?P<open_link>!?\[(?=[^\]\n]{{0,80}}\Z | [^\]\n]{{0,200}}\](?:\([^)\n]{{0,300}})?\Z))
    |(?P<mark>\*{{1,3}}|~~)""",
    re.MULTILINE | re.VERBOSE,
)


def presentable(text: str) -> str:
    """Return what is shown of a text that goes on: its beginning, and what closes it.

    Args:
        text: Markdown that is cut anywhere.
    """
    fence, start, end = _find_open_part(text)
    if fence:
        return _FENCE_MARKS.sub("", text)
    text = text[:end]
    for blank in _BLANK_LINE.finditer(text, start):
        start = blank.end()
    table = _TABLE.search(text, start)
    if table is not None and len(table[0].partition("\n")[0]) <= MAX_WAITING_CHARS:
        rows = _presentable_rows(table[0])
        if rows is not None:
            return text[: table.start()] + rows
    return text[:start] + _presentable_block(text[start:])


def _find_open_part(text: str) -> tuple[str, int, int]:
    """Return the marks of the code block in which the text ends, or nothing, and what of it follows the last one."""
    opening, start, end = "", 0, len(text)
    for fence in _FENCE.finditer(text):
        marks = fence["marks"]
        if opening and marks.startswith(opening) and not fence["info"].strip():
            opening, start = "", fence.end()
        elif not opening and fence.end() == len(text):
            end = fence.start()  # the language is still being written
        elif not opening:
            opening = marks
    return opening, start, end


def _presentable_rows(table: str) -> str | None:
    """Return whole cells of a table whose head is whole; None for what is no table."""
    lines = table.splitlines(keepends=True)
    if len(lines) == 1:
        return ""
    if not _DELIMITERS.match(lines[1]):
        return None
    if not lines[1].endswith("\n"):
        return ""
    if len(lines) == 2 or lines[-1].endswith("\n"):  # noqa: PLR2004  a head and its delimiters
        return table
    cells = _CELLS.match(lines[-1])
    return "".join(lines[:-1]) + (cells[0] if cells else "")


def _presentable_block(block: str) -> str:
    block = _HALF_MARK.sub("", block)
    end, open_marks = _find_open_marks(block)
    end = min(end, _last_markup_line(block[:end]))
    closing = ""
    for mark_start, mark in reversed(open_marks):
        if block[mark_start + len(mark) : end].strip():
            closing += mark
        else:
            end = min(end, mark_start)
    end = min(end, _last_markup_line(block[:end]))
    shown = block[:end]
    stripped = shown.rstrip() if closing else shown
    return stripped + closing + shown[len(stripped) :]


def _last_markup_line(block: str) -> int:
    line = _MARKUP_LINE.search(block)
    return line.start() if line else len(block)


def _find_open_marks(block: str) -> tuple[int, list[tuple[int, str]]]:
    """Return where that begins which waits, and where which marks before it are open."""
    marks: list[tuple[int, str]] = []
    for token in _INLINE.finditer(block):
        if token["open_formula"] or token["open_link"]:
            return token.start(), marks
        if token["open_code"]:
            return len(block), [*marks, (token.start(), token["open_code"])]
        if token["item"]:
            marks = []
        elif token["mark"]:
            _take_mark(marks, token, block)
    return len(block), marks


def _take_mark(marks: list[tuple[int, str]], token: re.Match[str], block: str) -> None:
    """Let a mark close the one that it fits to, or open another."""
    mark, before, after = token["mark"], block[token.start() - 1 : token.start()], block[token.end() :][:1]
    if marks and marks[-1][1] == mark and not before.isspace():
        marks.pop()
    elif [open_mark for _, open_mark in marks[-2:]] == ["**", "*"] and mark == "***":
        del marks[-2:]
    elif after and not after.isspace() and not before.isalnum():
        marks.append((token.start(), mark))
