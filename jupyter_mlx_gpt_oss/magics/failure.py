"""The last exception of the notebook as a message to the model. Knows IPython's history."""

import re
from typing import Any

MAX_TRACEBACK_CHARS = 4000
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_OWN_MAGIC = re.compile(r"\s*%{1,2}oss\b")


def failure_message(history: Any) -> str | None:
    """Return a message with the last cell that failed and its traceback; None if none has.

    Cells of `%%oss` and `%oss` do not count: what fails in them is not the user's code.

    Args:
        history: IPython's HistoryManager, whose methods are not annotated.
    """
    for number, failure in reversed(history.exceptions.items()):
        cell = history.input_hist_raw[number] if number < len(history.input_hist_raw) else ""
        if cell and not _OWN_MAGIC.match(cell):
            traceback = _COLOUR.sub("", "\n".join(failure["traceback"])).strip("\n")
            return _message(cell, traceback[-MAX_TRACEBACK_CHARS:])
    return None


def _message(cell: str, traceback: str) -> str:
    return (
        f"This cell of my notebook failed:\n\n{_fenced(cell.strip(), 'python')}\n\n"
        f"The traceback:\n\n{_fenced(traceback)}\n\n"
        "Say in a sentence or two what is wrong, then give the whole cell corrected in one code block."
    )


def _fenced(text: str, language: str = "") -> str:
    longest = max(map(len, re.findall("`{3,}", text)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"
