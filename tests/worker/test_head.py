"""Hidden rows to logits over the whole vocabulary."""

from pathlib import Path
from typing import Any

import mlx.core as mx
import pytest
from mlx_lm.utils import load_model

from jupyter_mlx_gpt_oss.worker.head import FullHead


@pytest.fixture(scope="module")
def model(tiny_checkpoint: Path) -> Any:
    return load_model(tiny_checkpoint)[0]


@pytest.mark.parametrize("num_rows", [1, 2, 3, 8])
def test_several_rows_are_scored_as_one_is(model: Any, num_rows: int) -> None:
    hidden = mx.random.normal((num_rows, model.args.hidden_size), key=mx.random.key(num_rows))
    head = FullHead(model, max_unpacked_bytes=1 << 20)
    values = head(hidden, []).values
    assert values.shape == (num_rows, model.args.vocab_size)
    assert mx.allclose(values, model.lm_head(hidden), atol=1e-5)
    assert head._unpacked is not None


def test_a_head_that_would_take_too_much_memory_stays_packed(model: Any) -> None:
    hidden = mx.ones((4, model.args.hidden_size))
    head = FullHead(model, max_unpacked_bytes=1000)
    assert mx.array_equal(head(hidden, []).values, model.lm_head(hidden))
    assert head._unpacked is None
