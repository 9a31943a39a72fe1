"""Frames as the WHATWG's specification wants them."""

from jupyter_mlx_gpt_oss.protocol import sse


def test_a_frame_of_data_is_one_line_and_an_empty_one() -> None:
    assert sse.data_frame('{"a": "é"}') == 'data: {"a": "é"}\n\n'.encode()


def test_a_comment_starts_with_a_colon() -> None:
    assert sse.comment_frame("keep-alive") == b": keep-alive\n\n"
