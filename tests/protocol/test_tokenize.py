"""Tokens as JSON."""

import json
from typing import Any

import pytest

from jupyter_mlx_gpt_oss.protocol import tokenize
from jupyter_mlx_gpt_oss.protocol.tokenize import Tokens


@pytest.mark.parametrize("token_strs", [None, [], ["a", '"', "\N{REPLACEMENT CHARACTER}", "\n"] * 10])
@pytest.mark.parametrize("count", [0, 1, 39, 40, 41])
def test_many_tokens_are_written_in_pieces_as_one(
    monkeypatch: pytest.MonkeyPatch, count: int, token_strs: list[str] | None
) -> None:
    lengths: list[int] = []
    dumps = json.dumps

    def noted(value: Any, **options: Any) -> str:
        lengths.append(len(value))
        return dumps(value, **options)

    monkeypatch.setattr(tokenize, "MAX_PIECE_ITEMS", 4)
    monkeypatch.setattr(json, "dumps", noted)
    tokens = Tokens(count=count, max_model_len=None, tokens=list(range(count)))
    if token_strs is not None:
        tokens.token_strs = token_strs
    assert json.loads(tokens.to_json()) == tokens.model_dump(exclude_unset=True)
    assert max(lengths, default=0) <= 4
