import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_mlx_gpt_oss.client.sse import SseComment, SseDecoder, SseFrame

CASES = {
    "a frame": (b"data: one\n\n", [SseFrame("one")]),
    "no space after the colon": (b"data:one\n\n", [SseFrame("one")]),
    "only one space is taken": (b"data:  one\n\n", [SseFrame(" one")]),
    "CRLF": (b"data: one\r\n\r\ndata: two\r\n\r\n", [SseFrame("one"), SseFrame("two")]),
    "CR alone, and a next line": (b"data: one\r\rdata: two\n\n", [SseFrame("one"), SseFrame("two")]),
    "several data lines": (b"data: one\ndata:\ndata: two\n\n", [SseFrame("one\n\ntwo")]),
    "a field without a colon": (b"data\n\n", [SseFrame("")]),
    "a comment": (b": keep-alive\n\ndata: one\n\n", [SseComment("keep-alive"), SseFrame("one")]),
    "a comment inside a frame": (b"data: one\n:c\ndata: two\n\n", [SseComment("c"), SseFrame("one\ntwo")]),
    "other fields": (b"event: x\nid: 1\nretry: 5\ndata: one\n\n", [SseFrame("one")]),
    "an event without data": (b"event: x\n\n", []),
    "an unfinished frame": (b"data: one\n\ndata: two\n", [SseFrame("one")]),
    "a byte order mark": (b"\xef\xbb\xbfdata: one\n\n", [SseFrame("one")]),
    "letters of several bytes": ("data: grüße 🦆\n\n".encode(), [SseFrame("grüße 🦆")]),
    "bytes that are no text": (b"data: \xff\n\n", [SseFrame("\ufffd")]),
    "a line separator that is none": ("data: a\u2028b\n\n".encode(), [SseFrame("a\u2028b")]),
}


@pytest.mark.parametrize("name", CASES)
def test_whole(name: str) -> None:
    stream, expected = CASES[name]

    assert SseDecoder().feed(stream) == expected


@pytest.mark.parametrize("name", CASES)
def test_byte_by_byte(name: str) -> None:
    stream, expected = CASES[name]
    decoder = SseDecoder()

    assert [item for byte in stream for item in decoder.feed(bytes([byte]))] == expected


@pytest.mark.parametrize("name", CASES)
def test_cut_at_every_place(name: str) -> None:
    stream, expected = CASES[name]
    for cut in range(len(stream) + 1):
        decoder = SseDecoder()

        assert decoder.feed(stream[:cut]) + decoder.feed(stream[cut:]) == expected, f"cut at {cut}"


@given(st.lists(st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]))))
def test_what_is_framed_comes_out_again(texts: list[str]) -> None:
    stream = "".join(f"data: {text}\n\n" for text in texts).encode()

    assert SseDecoder().feed(stream) == [SseFrame(text) for text in texts]
