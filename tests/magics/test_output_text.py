import base64
import zlib
from typing import Any

import pytest

from jupyter_mlx_gpt_oss.magics.output_text import OutputText, bundle_to_text


def png(width: int, height: int) -> bytes:
    size = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    header = b"IHDR" + size + b"\x08\x02\x00\x00\x00"
    return b"\x89PNG\r\n\x1a\n" + b"\x00\x00\x00\x0d" + header + zlib.crc32(header).to_bytes(4, "big")


def output(*pieces: str, max_chars: int = 1000) -> str:
    text = OutputText(max_chars)
    for piece in pieces:
        text.add(piece)
    return str(text)


def test_a_short_text_is_kept_whole_without_its_last_line_break() -> None:
    assert output("one\n", "two", "\n") == "one\ntwo"


def test_of_a_long_text_the_beginning_and_the_end_are_kept() -> None:
    pieces = [f"{number}\n" for number in range(1000)]

    text = output(*pieces, max_chars=40)

    assert text.startswith("0\n1\n2\n")
    assert text.endswith("\n998\n999")
    assert "characters left out) …" in text
    assert text == output("".join(pieces), max_chars=40)
    assert len(text) < 100


def test_a_line_that_is_written_over_and_colours_leave_no_trace() -> None:
    assert output("10 %\r50 %\rdone\n\x1b[31mred\x1b[0m\r\nend") == "done\nred\r\nend"


def test_what_is_shown_stands_on_lines_of_its_own() -> None:
    text = OutputText(1000)
    text.add_line("[figure]")
    text.add("a")
    text.add_line("b")
    text.add("c")

    assert str(text) == "[figure]\na\nb\nc"


@pytest.mark.parametrize(
    ("bundle", "expected"),
    [
        ({"text/plain": "4"}, "4"),
        ({"text/html": "<b>4</b>", "text/plain": "4"}, "4"),
        ({"text/markdown": "**4**", "text/plain": "<Markdown object>"}, "**4**"),
        ({"image/png": png(640, 480), "text/plain": "<Figure>"}, "[figure 640x480]"),
        ({"image/png": base64.b64encode(png(3, 70_000)).decode()}, "[figure 3x70000]"),
        ({"image/png": "no picture"}, "[figure]"),
        ({"image/png": b""}, "[figure]"),
        ({"image/svg+xml": "<svg/>"}, "[figure]"),
        ({"application/json": {}}, "[output]"),
    ],
)
def test_a_display_message_has_a_text(bundle: dict[str, Any], expected: str) -> None:
    assert bundle_to_text(bundle) == expected
