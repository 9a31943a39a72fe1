from pathlib import Path

import pytest
from openai_harmony import HarmonyEncoding, HarmonyEncodingName, load_harmony_encoding
from tokenizers import Tokenizer

from jupyter_mlx_gpt_oss import vocabulary
from jupyter_mlx_gpt_oss.vocabulary import SPECIAL_TOKENS, token_bytes

TEXTS = [
    "",
    "Hello, world!",
    "  leading and trailing  ",
    "What's the weather in Kyoto? It's 18 °C, they'll SAY",
    "1234567890 3.14159 0x1F 10,000",
    'def f(a, b):\n    """Doc."""\n\treturn {"a": [1, 2]}\r\n\n',
    "HTTPServer camelCase snake_case kebab-case ÜBERGRÖSSE straße",
    "こんにちは世界。你好,Привет! नमस्ते مرحبا שלום",
    "👩‍🔬 👨‍👩‍👧‍👦 🏳️‍🌈 🇫🇷 e\u0301 \u200b\u00a0",
    "a" * 300 + " " * 40 + "\n" * 12,
    "https://example.org/path?query=1&b=%20#x",
    "∀x: x² ≥ 0 → \\frac{1}{2} $$",
    '{"name":"Ada","age":36}\u2028\u0000',
]


@pytest.fixture(scope="module")
def tokenizer(checkpoint: Path) -> Tokenizer:
    return Tokenizer.from_file(str(checkpoint / "tokenizer.json"))


@pytest.fixture(scope="module")
def encoding() -> HarmonyEncoding:
    with pytest.MonkeyPatch.context() as environment, vocabulary.directory() as directory:
        environment.setenv("TIKTOKEN_ENCODINGS_BASE", str(directory))
        return load_harmony_encoding(HarmonyEncodingName.HARMONY_GPT_OSS)


@pytest.mark.parametrize("text", TEXTS)
def test_encoding_agrees_with_openai_harmony(
    tokenizer: Tokenizer, encoding: HarmonyEncoding, text: str
) -> None:
    assert encoding.encode(text, disallowed_special=()) == tokenizer.encode(text).ids


@pytest.mark.parametrize("text", TEXTS)
def test_decoding_gives_the_text_back(tokenizer: Tokenizer, text: str) -> None:
    assert text == tokenizer.decode(tokenizer.encode(text).ids)


def test_every_thousandth_token_is_one_token(tokenizer: Tokenizer) -> None:
    for token_id, token in list(enumerate(token_bytes()))[:199_998:1009]:
        text = token.decode("utf-8", "replace")
        if "\ufffd" not in text:
            assert [token_id] == tokenizer.encode(text).ids


def test_harmony_markers_are_single_tokens(tokenizer: Tokenizer) -> None:
    for token, token_id in SPECIAL_TOKENS.items():
        assert [token_id] == tokenizer.encode(token).ids
