"""Show JSON as a table: the arguments of a call, and what a tool gave back.

Pure. SAFETY: every text is escaped here. Styles are inline, as in all that a notebook keeps.
"""

import json
import re
from typing import Any

from jupyter_mlx_gpt_oss.magics.markdown import lines_to_html

MAX_ROWS = 20
MAX_COLUMNS = 12
MAX_CELL_CHARS = 500

_TABLE_STYLE = "border-collapse:collapse;margin:4px 0;font-size:95%"
_CELL_STYLE = "text-align:left;vertical-align:top;padding:2px 12px 2px 0;white-space:pre-wrap"
_HEAD_STYLE = f"{_CELL_STYLE};font-weight:600;opacity:.7"
# `anywhere` lets a column become one letter narrow when another one is wide.
_LONG_WORD = re.compile(r"\S{40}")


def json_to_table(text: str, *, is_whole: bool = False) -> str | None:
    """Return a JSON object as rows of a name and a value, and a list of objects with one row for each.

    Args:
        text: JSON, or anything else.
        is_whole: show all of it, however long it is; else rows and cells are bounded.

    Returns:
        HTML; None for what would be no table: other JSON, no JSON, or one with too many columns.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if isinstance(value, dict) and value:
        if is_whole:
            return rows_to_table([(name, _as_text(item)) for name, item in value.items()])
        rows = [(name, cell_text(item)) for name, item in list(value.items())[:MAX_ROWS]]
        return _table([*map(_named_row, rows), *_rest(len(value), 2)])
    if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        return _records_to_table(value)
    return None


def rows_to_table(rows: list[tuple[str, str]]) -> str:
    """Return rows of a name and a text as HTML, as `%oss status` has them."""
    return _table(list(map(_named_row, rows)))


def cells_to_table(rows: list[tuple[str, str]]) -> str:
    """Return rows of a name and of HTML as HTML."""
    return _table([_row(_cell("th", name), f'<td style="{_CELL_STYLE}">{html}</td>') for name, html in rows])


def cell_text(value: Any) -> str:
    """Return a value as a cell says it: a text as it is, anything else as JSON, both bounded."""
    text = _as_text(value)
    return (
        text if len(text) <= MAX_CELL_CHARS else f"{text[:MAX_CELL_CHARS]}… ({len(text)} characters in all)"
    )


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _records_to_table(records: list[dict[str, Any]]) -> str | None:
    columns = list(dict.fromkeys(name for record in records for name in record))
    if not columns or len(columns) > MAX_COLUMNS:
        return None
    head = _row(*(_cell("th", name) for name in columns))
    lines = [
        _row(*(_cell("td", cell_text(record[name]) if name in record else "") for name in columns))
        for record in records[:MAX_ROWS]
    ]
    return _table([head, *lines, *_rest(len(records), len(columns))])


def _named_row(row: tuple[str, str]) -> str:
    name, text = row
    return _row(_cell("th", name), _cell("td", text))


def _rest(num_rows: int, num_columns: int) -> list[str]:
    if num_rows <= MAX_ROWS:
        return []
    return [f'<tr><td colspan="{num_columns}" style="{_HEAD_STYLE}">… {num_rows:,} rows in all</td></tr>']


def _table(lines: list[str]) -> str:
    return f'<table style="{_TABLE_STYLE}">{"".join(lines)}</table>'


def _row(*cells: str) -> str:
    return f'<tr style="background:transparent">{"".join(cells)}</tr>'


def _cell(tag: str, text: str) -> str:
    style = _HEAD_STYLE if tag == "th" else _CELL_STYLE
    wrap = "anywhere" if _LONG_WORD.search(text) else "break-word"
    return f'<{tag} style="{style};overflow-wrap:{wrap}">{lines_to_html(text)}</{tag}>'
