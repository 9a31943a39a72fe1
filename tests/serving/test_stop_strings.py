"""Stop strings, whole and in pieces."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jupyter_mlx_gpt_oss.serving.stop_strings import StopStrings


def cut(pieces: list[str], stop_strings: list[str]) -> tuple[str, bool]:
    stop = StopStrings(stop_strings)
    text = "".join(stop.feed(piece) for piece in pieces)
    return text + stop.flush(), stop.is_matched


@pytest.mark.parametrize(
    ("pieces", "stop_strings", "text"),
    [
        (["Hello there"], [], "Hello there"),
        (["Hello there"], ["there"], "Hello "),
        (["Hel", "lo th", "ere", "!"], ["there"], "Hello "),
        (["Hello the", "n"], ["there"], "Hello then"),
        (["a", "a", "b"], ["ab"], "a"),
        (["STO"], ["STOP"], "STO"),
        (["xEND", "y"], ["END", "x"], ""),
        (["ab", "c"], ["abc", "b"], "a"),
        (["abc"], ["abc", "b"], "a"),
    ],
)
def test_text_ends_before_the_first_stop_string(
    pieces: list[str], stop_strings: list[str], text: str
) -> None:
    assert cut(pieces, stop_strings)[0] == text


def test_what_cannot_be_a_stop_string_is_not_held_back() -> None:
    stop = StopStrings(["END"])
    assert stop.feed("Hello E") == "Hello "
    assert stop.feed("N") == ""
    assert stop.feed("d") == "ENd"


PIECES = st.lists(st.text("ab", max_size=4), max_size=8)
STOP_STRINGS = st.lists(st.text("ab", min_size=1, max_size=4), max_size=3)


@given(PIECES, STOP_STRINGS)
def test_the_pieces_do_not_matter(pieces: list[str], stop_strings: list[str]) -> None:
    whole = "".join(pieces)
    ends = [(whole.find(stop) + len(stop), whole.find(stop)) for stop in stop_strings if stop in whole]
    expected = whole[: min(ends)[1]] if ends else whole
    assert cut(pieces, stop_strings) == (expected, bool(ends))
