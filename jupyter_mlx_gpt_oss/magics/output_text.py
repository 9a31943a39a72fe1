"""What code puts out, as the text that the model reads: what it prints, and a word for what it shows.

Pure. Knows the bundles of Jupyter's display messages, and nothing of IPython.
"""

import base64
import re
import struct
from collections.abc import Mapping
from typing import Any

from typing_extensions import override

_PNG_HEADER_BYTES = 24
_PNG_HEADER_BASE64_CHARS = 32
_TEXT_TYPES = ("text/markdown", "text/latex", "text/plain")
# What a terminal would not leave on its screen: a line that is written over, and colours.
_OVERWRITTEN = re.compile(r"[^\n]*\r(?!\n)|\x1b\[[0-9;?]*[A-Za-z]")


class OutputText:
    """Text that comes in pieces; of a long one the beginning and the end are kept.

    Args:
        max_chars: how much is kept.
    """

    def __init__(self, max_chars: int) -> None:
        self._half = max_chars // 2
        self._head = ""
        self._tail = ""
        self._num_chars = 0

    def add(self, text: str) -> None:
        """Take what was printed."""
        self._num_chars += len(text)
        room = self._half - len(self._head)
        self._head += text[:room]
        self._tail = (self._tail + text[room:])[-self._half :]

    def add_line(self, text: str) -> None:
        """Take what stands on lines of its own."""
        last = (self._tail or self._head)[-1:]
        self.add("\n" * (last not in {"", "\n"}) + text + "\n")

    @override
    def __str__(self) -> str:
        num_left_out = self._num_chars - len(self._head) - len(self._tail)
        remark = f"\n… ({num_left_out} characters left out) …\n" if num_left_out else ""
        return _OVERWRITTEN.sub("", self._head + remark + self._tail).strip("\n")


def bundle_to_text(bundle: Mapping[str, Any]) -> str:
    """Return what a display message shows: a figure by its size in pixels, anything else by its text."""
    if "image/png" in bundle:
        return f"[figure{_png_size(bundle['image/png'])}]"
    if any(kind.startswith("image/") for kind in bundle):
        return "[figure]"
    return next((str(bundle[kind]) for kind in _TEXT_TYPES if bundle.get(kind)), "[output]")


def _png_size(image: bytes | str) -> str:
    """Return ` 640x480`; nothing for what is no PNG (PNG specification, 11.2.2 IHDR)."""
    try:
        header = base64.b64decode(image[:_PNG_HEADER_BASE64_CHARS]) if isinstance(image, str) else image
    except ValueError:
        return ""
    if len(header) < _PNG_HEADER_BYTES or not header.startswith(b"\x89PNG"):
        return ""
    width, height = struct.unpack(">II", header[16:_PNG_HEADER_BYTES])
    return f" {width}x{height}"
