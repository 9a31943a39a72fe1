"""Find the code in an answer. Pure; knows Markdown."""

from collections.abc import Iterator, Mapping
from typing import Any

import mistune

_PYTHON = frozenset({"", "python", "python3", "py", "ipython"})


def python_blocks(text: str) -> list[str]:
    """Return the fenced blocks of Python, and those of no language, in their order."""
    tokens = mistune.create_markdown(renderer=None)(text)
    assert not isinstance(tokens, str)  # mistune returns text only with a renderer
    return [code for token in tokens for code in _python_in(token)]


def _python_in(token: Mapping[str, Any]) -> Iterator[str]:
    if token["type"] == "block_code" and token.get("style") == "fenced":
        info = token.get("attrs", {}).get("info", "").split()
        if (info[0].lower() if info else "") in _PYTHON:
            yield token["raw"].strip("\n")
    for child in token.get("children", ()):
        yield from _python_in(child)
