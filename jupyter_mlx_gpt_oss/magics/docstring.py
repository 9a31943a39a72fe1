"""Read what a docstring says of a function and of each of its parameters.

Pure text. Knows the three forms that notebooks have: Google's `Args:`, NumPy's `Parameters` and Sphinx's
`:param name:`.
"""

import inspect
import re
from collections.abc import Callable
from typing import Any

_SECTION = re.compile(
    r"^(?:(?:Args|Arguments|Parameters|Returns|Raises|Yields|Examples?|Notes?):?\s*$|:\w+[^:]*:)",
    re.MULTILINE,
)
_GOOGLE_ARGUMENTS = re.compile(
    r"^(?:Args|Arguments|Parameters):[ \t]*\n((?:[ \t]+.*(?:\n|$)|[ \t]*\n)+)", re.MULTILINE
)
_NUMPY_PARAMETERS = re.compile(
    r"^Parameters[ \t]*\n-{3,}[ \t]*\n((?:.*\n?)*?)(?=^\S[^\n]*\n-{3,}|\Z)", re.MULTILINE
)
_GOOGLE_ENTRY = re.compile(r"^\s*\*{0,2}(\w+)\s*(?:\([^)]*\))?:\s*(.*)$")
_NUMPY_ENTRY = re.compile(r"^(\w+)\s*(?::.*)?$")
_SPHINX_ENTRY = re.compile(r"^:param(?:\s+[^:\s]+)?\s+(\w+):\s*((?:.*)(?:\n[ \t]+.*)*)", re.MULTILINE)


def summary_of(function: Callable[..., Any]) -> str:
    """Return the docstring of `function` up to its first section; empty when there is none."""
    text = inspect.getdoc(function) or ""
    section = _SECTION.search(text)
    return (text[: section.start()] if section else text).strip()


def parameter_texts(function: Callable[..., Any]) -> dict[str, str]:
    """Return what the docstring of `function` says of its parameters, by name."""
    text = inspect.getdoc(function) or ""
    if found := _NUMPY_PARAMETERS.search(text):
        return _entries(found[1], _NUMPY_ENTRY)
    if found := _GOOGLE_ARGUMENTS.search(text):
        return _entries(inspect.cleandoc(found[1]), _GOOGLE_ENTRY)
    return {name: " ".join(words.split()) for name, words in _SPHINX_ENTRY.findall(text)}


def _entries(section: str, entry: re.Pattern[str]) -> dict[str, str]:
    """Collect the entries of a section: each begins at the margin, and its further lines are indented."""
    texts: dict[str, list[str]] = {}
    current: list[str] = []
    for line in section.splitlines():
        begins = None if line[:1].isspace() else entry.match(line)
        if begins is not None:
            current = texts.setdefault(begins[1], [*begins.groups()[1:]])
        else:
            current.append(line.strip())
    return {name: " ".join(part for part in parts if part) for name, parts in texts.items()}
