"""The corpus as the fixture `case`, and completions written out as text."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from openai_harmony import (
    Conversation,
    HarmonyEncoding,
    RenderConversationConfig,
    load_harmony_encoding,
)

from jupyter_mlx_gpt_oss import vocabulary
from jupyter_mlx_gpt_oss.harmony.encoding import encode
from jupyter_mlx_gpt_oss.vocabulary import SPECIAL_TOKENS

_CORPUS = Path(__file__).parents[1] / "data" / "harmony"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "case" in metafunc.fixturenames:
        cases = [json.loads(file.read_text(encoding="utf-8")) for file in sorted(_CORPUS.glob("*.json"))]
        metafunc.parametrize("case", cases, ids=[case["name"] for case in cases])


@pytest.fixture(scope="session")
def corpus() -> dict[str, Any]:
    """Every case by its name."""
    return {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in _CORPUS.glob("*.json")}


@pytest.fixture(scope="session")
def tokens() -> Callable[[str], list[int]]:
    """Return the ids of a text in which control tokens are written out."""

    def tokens(text: str) -> list[int]:
        token_ids: list[int] = []
        while text:
            markers = [(text.find(marker), marker) for marker in SPECIAL_TOKENS if marker in text]
            start, marker = min(markers, default=(len(text), ""))
            token_ids += encode(text[:start]) + ([SPECIAL_TOKENS[marker]] if marker else [])
            text = text[start + len(marker) :]
        return token_ids

    return tokens


@pytest.fixture(scope="session")
def reference_encoding() -> HarmonyEncoding:
    """The encoding of openai-harmony itself."""
    with pytest.MonkeyPatch.context() as environment, vocabulary.directory() as directory:
        environment.setenv("TIKTOKEN_ENCODINGS_BASE", str(directory))
        return load_harmony_encoding("HarmonyGptOss")


@pytest.fixture(scope="session")
def reference_text(reference_encoding: HarmonyEncoding) -> Callable[[Conversation], str]:
    """Return a conversation as openai-harmony's own renderer writes it."""
    config = RenderConversationConfig(auto_drop_analysis=False)
    return lambda conversation: str(
        reference_encoding.decode(reference_encoding.render_conversation(conversation, config))
    )
