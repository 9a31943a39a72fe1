"""How many ranks can share a model."""

from pathlib import Path
from typing import Any

import pytest

from jupyter_mlx_gpt_oss.errors import ModelLoadError
from jupyter_mlx_gpt_oss.worker import model_loader
from jupyter_mlx_gpt_oss.worker.ranks import Alone
from jupyter_mlx_gpt_oss.worker.sharding import check_divisible

GPT_OSS_20B: dict[str, Any] = {
    "num_attention_heads": 64,
    "num_key_value_heads": 8,
    "head_dim": 64,
    "intermediate_size": 2880,
    "quantization": {"model.layers.0.self_attn.o_proj": {"group_size": 64, "bits": 8}},
}


class Three(Alone):
    size = 3


@pytest.mark.parametrize("num_ranks", [1, 2])
def test_two_ranks_can_share_gpt_oss(num_ranks: int) -> None:
    check_divisible(GPT_OSS_20B, num_ranks)


@pytest.mark.parametrize(
    ("num_ranks", "reason"),
    [
        (3, "8 key-value heads and 64 attention heads and 64 groups of attention weights"),
        (4, "90 groups of expert weights"),
        (5, "8 key-value heads"),
    ],
)
def test_ranks_that_do_not_divide_a_model_are_refused_with_the_reason(num_ranks: int, reason: str) -> None:
    with pytest.raises(ModelLoadError, match=reason) as raised:
        check_divisible(GPT_OSS_20B, num_ranks)
    assert "Numbers of ranks that can: 1, 2." in raised.value.message


def test_weights_that_are_not_quantised_divide_by_their_rows() -> None:
    plain = {**GPT_OSS_20B, "quantization": None}
    check_divisible(plain, 4)
    with pytest.raises(ModelLoadError, match="8 key-value heads"):
        check_divisible(plain, 16)


def test_a_model_is_refused_before_its_weights_are_read(tiny_checkpoint: Path) -> None:
    with pytest.raises(ModelLoadError, match="3 ranks cannot share this model: 2 key-value heads"):
        model_loader.load(str(tiny_checkpoint), None, lambda _: None, Three())
