"""Read a table of Markdown as GitHub does: a row may have fewer or more cells than the head.

Mistune's own rules make raw pipes of a whole table if one of its rows has a cell too few.
"""

import re
from typing import Any

import mistune
from mistune.block_parser import BlockParser
from mistune.core import BlockState
from mistune.plugins.table import table as mistune_table

_RULE = "oss_table"
_DELIMITER = r"[ \t]*:?-+:?[ \t]*"
_TABLE = (
    r"^ {0,3}(?P<oss_table_head>[^\n]*\|[^\n]*)\n"
    rf" {{0,3}}(?P<oss_table_delimiters>\|?{_DELIMITER}(?:\|{_DELIMITER})*\|?)[ \t]*(?:\n|$)"
)
_PIPE = re.compile(r"(?<!\\)\|")
_OTHER_BLOCK = re.compile(r" {0,3}(?:`{3}|~{3}|>|#{1,6} |[-*+] )")


def tables_as_github_has_them(md: mistune.Markdown) -> None:
    """Read tables, in lists too: a plugin of mistune, in the place of its own."""
    mistune_table(md)  # for what renders them
    for name in ("table", "nptable"):
        md.block.rules.remove(name)
    md.block.register(_RULE, _TABLE, _parse_table, before="setex_heading")
    md.block.insert_rule(md.block.list_rules, _RULE, before="setex_heading")


def _parse_table(_parser: BlockParser, match: re.Match[str], state: BlockState) -> int | None:
    head, delimiters = _split_row(match["oss_table_head"]), _split_row(match["oss_table_delimiters"])
    if len(head) != len(delimiters):
        return None
    aligns = [_align(delimiter) for delimiter in delimiters]
    end = match.end()
    rows = []
    while end < state.cursor_max:
        line = state.get_line(end)
        if "|" not in line or _OTHER_BLOCK.match(line):
            break
        rows.append({"type": "table_row", "children": _cells(_split_row(line), aligns, is_head=False)})
        end += len(line)
    children: list[dict[str, Any]] = [
        {"type": "table_head", "children": _cells(head, aligns, is_head=True)},
        {"type": "table_body", "children": rows},
    ]
    state.append_token({"type": "table", "children": children})
    return end


def _split_row(line: str) -> list[str]:
    cells = [cell.strip().replace("\\|", "|") for cell in _PIPE.split(line.strip())]
    first = 1 if not cells[0] and len(cells) > 1 else 0
    last = len(cells) - 1 if not cells[-1] and len(cells) > first + 1 else len(cells)
    return cells[first:last]


def _cells(texts: list[str], aligns: list[str | None], *, is_head: bool) -> list[dict[str, Any]]:
    padded = [*texts, *[""] * (len(aligns) - len(texts))]
    return [
        {"type": "table_cell", "text": text, "attrs": {"align": align, "head": is_head}}
        for text, align in zip(padded, aligns, strict=False)
    ]


def _align(delimiter: str) -> str | None:
    is_left, is_right = delimiter.startswith(":"), delimiter.endswith(":")
    if is_left and is_right:
        return "center"
    return "left" if is_left else "right" if is_right else None
