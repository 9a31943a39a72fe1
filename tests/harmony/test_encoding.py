import os
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise, product
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai_harmony import HarmonyEncoding

from jupyter_mlx_gpt_oss.harmony.encoding import (
    MAX_PIECE_CHARS,
    SAFE_CUT,
    TextDecoder,
    decode,
    encode,
    pieces,
)
from jupyter_mlx_gpt_oss.vocabulary import SPECIAL_TOKENS, token_bytes

# One of each kind of character that the vocabulary's splitting tells apart, and of those that Python and Rust do not
# both take for white space.
KINDS = "aA1 \n\r\t'st/!.\u00e9\u0301\u01c5\u02b0\u5b57\u2160\u00a0\u0085\u2028\u3000\x1c"


@pytest.fixture(scope="module")
def uncut(reference_encoding: HarmonyEncoding) -> Callable[[str], list[int]]:
    """Encode as one piece."""
    return lambda text: reference_encoding.encode(text, disallowed_special=())


@pytest.mark.parametrize("marker", SPECIAL_TOKENS)
def test_the_text_of_a_control_token_stays_text(marker: str) -> None:
    token_ids = encode(f"a{marker}b")
    assert not set(token_ids) & set(SPECIAL_TOKENS.values())
    assert decode(token_ids) == f"a{marker}b"


@pytest.mark.parametrize(
    "text", ["", " ", "Hello, world!", "été \N{GRINNING FACE}\n\n\t x", "\ufeffbyte order"]
)
def test_text_comes_back(text: str) -> None:
    assert decode(encode(text)) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\ud800b", "a\ufffdb"),
        ("\udc00", "\ufffd"),
        ("x\ud83d", "x\ufffd"),
        ("\ud800\ud800y", "\ufffd\ufffdy"),
    ],
)
def test_lone_surrogates_are_replaced(text: str, expected: str) -> None:
    assert decode(encode(text)) == expected


@pytest.mark.parametrize(
    "char", ["a", " ", "^", "\N{CJK UNIFIED IDEOGRAPH-5B57}", "\N{GRINNING FACE}", "!\x1c"]
)
def test_a_long_run_costs_little_and_is_kept(char: str) -> None:
    token_ids = encode(char * 20_000)
    assert b"".join(token_bytes()[token_id] for token_id in token_ids).decode() == char * 20_000


def test_a_run_of_ordinary_length_is_not_cut() -> None:
    assert encode("a" * 512) == encode("a" * 256) + encode("a" * 256)
    assert encode("word " + "-" * 500) == encode("word") + encode(" " + "-" * 500)


@pytest.mark.parametrize(
    "text",
    [
        "The quick brown fox, it's lazy.\n" * 1000,
        "if x:\n    return;\n\n" * 1000,
        '{"a":1,"b":[true]},' * 1000,
        "!" + "\n/" * 10_000,
        " " * 10_000,
        "word " + "\N{GRINNING FACE}" * 10_000,
    ],
)
def test_no_piece_is_long_and_none_is_lost(text: str) -> None:
    # A piece is one call of openai-harmony, which holds Python's lock, and with it the server's loop.
    cut = list(pieces(text))
    assert "".join(cut) == text
    assert max(map(len, cut)) <= MAX_PIECE_CHARS


def test_no_stretch_of_a_piece_is_one_that_takes_long() -> None:
    # The time for what the splitting leaves whole grows with the square of its length.
    assert max(map(len, pieces("!" + "\n/" * 5000))) <= 513


@pytest.mark.parametrize(
    "text", ["The quick brown fox, it's lazy.\n" * 200, "if (x)\n    return;\n\n\tfoo();\r\n//bar\n" * 200]
)
def test_long_text_is_encoded_as_if_it_were_not_cut(text: str, uncut: Callable[[str], list[int]]) -> None:
    assert len(list(pieces(text))) > 1
    assert encode(text) == uncut(text)


def cut_at_every_safe_place(text: str) -> list[str]:
    places = [0, *(found.start() for found in SAFE_CUT.finditer(text)), len(text)]
    return [text[start:end] for start, end in pairwise(places)]


@settings(deadline=None, max_examples=500)
@given(text=st.text(st.sampled_from(KINDS), max_size=30) | st.text(max_size=30))
def test_a_safe_cut_changes_no_token(text: str, uncut: Callable[[str], list[int]]) -> None:
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    parts = cut_at_every_safe_place(whole)
    assert [token_id for part in parts for token_id in uncut(part)] == uncut(whole)


@pytest.mark.parametrize("length", [2, 3])
def test_a_safe_cut_changes_no_token_of_any_short_text(
    length: int, uncut: Callable[[str], list[int]]
) -> None:
    for chars in product(KINDS, repeat=length):
        text = "".join(chars)
        parts = cut_at_every_safe_place(text)
        if len(parts) > 1:
            assert [token_id for part in parts for token_id in uncut(part)] == uncut(text), repr(text)


def test_a_character_of_several_tokens_is_decoded_once_it_is_complete() -> None:
    decoder = TextDecoder()
    token_ids = encode("\N{CUNEIFORM SIGN A}")
    assert len(token_ids) > 1
    assert [decoder.feed(token_id) for token_id in token_ids] == [""] * (len(token_ids) - 1) + [
        "\N{CUNEIFORM SIGN A}"
    ]


def test_an_incomplete_character_is_shown_as_one() -> None:
    decoder = TextDecoder()
    assert decoder.feed(encode("\N{CUNEIFORM SIGN A}")[0]) == ""
    assert decoder.flush() == "\N{REPLACEMENT CHARACTER}"
    assert decoder.flush() == ""


@pytest.mark.parametrize("token_id", [-1, 199_998, 200_006, 200_019, 201_087, 201_088, 10**12])
def test_only_ordinary_ids_are_text(token_id: int) -> None:
    assert not TextDecoder().is_text(token_id)


_CHECK_IMPORT = """
import os, sys
import jupyter_mlx_gpt_oss.harmony
assert "openai_harmony" not in sys.modules, "imported too early"
before = dict(os.environ)
print(jupyter_mlx_gpt_oss.harmony.encoding.encode("Hi"))
assert dict(os.environ) == before, "the environment changed"
"""


def _python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=False)


def test_importing_is_light_and_loading_leaves_the_environment_as_it_was() -> None:
    finished = _python(_CHECK_IMPORT)
    assert (finished.stdout.strip(), finished.stderr) == ("[12194]", "")


def test_the_users_own_vocabulary_folder_is_respected(tmp_path: Path) -> None:
    finished = _python(_CHECK_IMPORT, TIKTOKEN_ENCODINGS_BASE=str(tmp_path))
    assert "invalid tiktoken vocab file" in finished.stderr


def test_the_vocabulary_is_the_one_that_ships_and_needs_no_network(tmp_path: Path) -> None:
    """openai-harmony would fetch it where it is not told of a folder, and keep it where it fetched it before."""
    dead = "http://127.0.0.1:9"
    nowhere = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), dead)
    folders = {
        "TIKTOKEN_RS_CACHE_DIR": str(tmp_path),
        "TMPDIR": str(tmp_path),
        "XDG_CACHE_HOME": str(tmp_path),
    }
    finished = _python(_CHECK_IMPORT, **nowhere, **folders)
    assert (finished.stdout.strip(), finished.stderr) == ("[12194]", "")
