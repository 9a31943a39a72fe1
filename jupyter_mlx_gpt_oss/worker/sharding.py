"""A model to this rank's part of it, where its sizes divide. All that is touched of mlx-lm's `shard` is touched here."""

from collections.abc import Mapping
from typing import Any

from jupyter_mlx_gpt_oss.errors import ModelLoadError
from jupyter_mlx_gpt_oss.worker.ranks import Ranks

_EXPERT_GROUP = 32  # entries that share a scale, in MXFP4


def check_divisible(config: Mapping[str, Any], num_ranks: int) -> None:
    """Check, before any weight is read, that so many ranks can share a model.

    Args:
        config: the checkpoint's config.json.
        num_ranks: at least 1.

    Raises:
        ModelLoadError: one of its sizes does not divide; names it, and the numbers of ranks that would do.
    """
    sizes = _sizes(config)
    wrong = [f"{size} {name}" for name, size in sizes.items() if size % num_ranks]
    if wrong:
        right = [str(number) for number in range(2, 9) if not any(size % number for size in sizes.values())]
        raise ModelLoadError(
            f"{num_ranks} ranks cannot share this model: {' and '.join(wrong)} do not divide by {num_ranks}. "
            f"Numbers of ranks that can: {', '.join(['1', *right])}."
        )


def shard(model: Any, ranks: Ranks) -> None:
    """Keep this rank's part of every layer; its weights need not be evaluated."""
    if ranks.size > 1:
        model.shard(ranks.group)


def _sizes(config: Mapping[str, Any]) -> dict[str, int]:
    heads, head_size = int(config["num_attention_heads"]), int(config.get("head_dim", 64))
    width = int(config["intermediate_size"])
    sizes = {"key-value heads": int(config["num_key_value_heads"]), "attention heads": heads}
    if config.get("quantization") or config.get("quantization_config"):
        sizes["groups of expert weights"] = width // _EXPERT_GROUP
    else:
        sizes["rows of expert weights"] = width
    attention = (config.get("quantization") or {}).get("model.layers.0.self_attn.o_proj")
    if attention:
        sizes["groups of attention weights"] = heads * head_size // int(attention["group_size"])
    return sizes
