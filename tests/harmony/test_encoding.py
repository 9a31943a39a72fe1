import os
import subprocess
import sys
from pathlib import Path

import pytest

from jupyter_mlx_gpt_oss.harmony.encoding import TextDecoder, decode, encode
from jupyter_mlx_gpt_oss.vocabulary import SPECIAL_TOKENS, token_bytes


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
