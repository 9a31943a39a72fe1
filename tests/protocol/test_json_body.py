"""Bodies that Python's own reader would take, or would choke on."""

import pytest

from jupyter_mlx_gpt_oss.errors import InvalidRequestError
from jupyter_mlx_gpt_oss.protocol.json_body import (
    MAX_DEPTH,
    MAX_VALUES,
    field_path,
    parse_json_object,
    without_lone_surrogates,
)


def test_an_object_is_read() -> None:
    assert parse_json_object(b'{"a": [1, 2.5, null, true, "\\u00e9 \\ud83d\\ude00"]}') == {
        "a": [1, 2.5, None, True, "é 😀"]
    }


@pytest.mark.parametrize(
    ("body", "param", "words"),
    [
        (b"", None, "not JSON"),
        (b"{", None, "line 1, column 2"),
        (b"[1]", None, "must be a JSON object"),
        (b"null", None, "must be a JSON object"),
        (b'"text"', None, "must be a JSON object"),
        (b'{"a": "\xff"}', None, "not UTF-8"),
        (b'{"a": NaN}', None, "NaN"),
        (b'{"a": -Infinity}', None, "-Infinity"),
        (b'{"a": {"b": 1, "b": 2}}', "b", "twice"),
        (b'{"a": [0, 1e999]}', "a[1]", "too large"),
        (b'{"a": ' + b"1" * 5000 + b"}", None, "too many digits"),
        (b'{"a": ' + b"[" * MAX_DEPTH + b"]" * MAX_DEPTH + b"}", "a", "nested deeper"),
        (b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", None, "nested deeper"),
        (b'{"a": [' + b"1," * MAX_VALUES + b"1]}", None, "more than 300,000 commas"),
        (b"{" + b"".join(b'"%d":0,' % key for key in range(100_000)) + b'"99999":1}', "99999", "twice"),
    ],
)
def test_a_bad_body_is_refused_in_words(body: bytes, param: str | None, words: str) -> None:
    with pytest.raises(InvalidRequestError, match=words) as caught:
        parse_json_object(body)
    assert caught.value.param == param


def test_the_text_of_a_broken_body_is_not_repeated() -> None:
    with pytest.raises(InvalidRequestError) as caught:
        parse_json_object(b'{"messages": "my secret')
    assert "secret" not in str(caught.value)


def test_a_path_is_written_as_openai_does() -> None:
    assert field_path(("messages", 2, "content", 0, "text")) == "messages[2].content[0].text"


def test_lone_surrogates_are_replaced_wherever_they_stand() -> None:
    fields = parse_json_object(
        rb'{"\ud800": [{"a\udc00": "x\ud83d"}, 1, null, "\ud83d\ude00"], "b": {"c": "\ud800\ud800"}}'
    )
    assert without_lone_surrogates(fields) == {
        "\ufffd": [{"a\ufffd": "x\ufffd"}, 1, None, "\N{GRINNING FACE}"],
        "b": {"c": "\ufffd\ufffd"},
    }


def test_whole_text_is_passed_on_as_it_is() -> None:
    # To write and read a body again would hold Python's lock, and with it every notebook, as long as that takes.
    fields = parse_json_object('{"a": ["été"]}'.encode())
    assert without_lone_surrogates(fields)["a"][0] is fields["a"][0]
