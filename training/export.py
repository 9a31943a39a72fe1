"""Write a trained model as the compact file that the package ships.

Usage: python -m training.export MODEL.pt OUT.safetensors
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from safetensors.numpy import save
from torch import Tensor

from jupyter_mlx_gpt_oss.demo.affine import quantise
from jupyter_mlx_gpt_oss.demo.codes import leading_classes, unit_codes
from training.model import Layer, ModelConfig, TinyGptOss

Floats = npt.NDArray[np.float32]
_FP4_VALUES = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6], np.float32)


def pack_mxfp4(weight: Floats) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint8]]:
    """Return `weight` (..., columns) in MXFP4 as MLX packs it: eight codes to a word, and a scale for each 32."""
    groups = weight.reshape(*weight.shape[:-1], -1, 32)
    largest = np.maximum(np.abs(groups).max(-1, keepdims=True), 1e-12)
    exponents = np.clip(np.rint(np.log2(largest / 6.0)), -127, 127)
    sizes = np.minimum(np.abs(groups / 2.0**exponents), 6.0)
    steps = np.where(sizes < 2, 0.5, np.where(sizes < 4, 1.0, 2.0))
    rounded = np.rint(sizes / steps) * steps
    codes = np.searchsorted(_FP4_VALUES, rounded).astype(np.uint32)
    codes |= ((groups < 0) & (rounded > 0)).astype(np.uint32) << 3
    nibbles = codes.reshape(*weight.shape[:-1], -1, 8)
    packed = np.zeros(nibbles.shape[:-1], np.uint32)
    for position in range(8):
        packed |= nibbles[..., position] << np.uint32(4 * position)
    return packed, (exponents[..., 0] + 127).astype(np.uint8)


def _floats(tensor: Tensor) -> Floats:
    values: Floats = tensor.detach().float().numpy()
    return values


def _half(values: Floats) -> npt.NDArray[np.float16]:
    return values.astype(np.float16)


def _affine(name: str, weight: Floats) -> dict[str, npt.NDArray[Any]]:
    packed, scales, biases = quantise(weight)
    return {f"{name}.weight": packed, f"{name}.scales": _half(scales), f"{name}.biases": _half(biases)}


def _layer_tensors(layer: Layer, prefix: str) -> dict[str, npt.NDArray[Any]]:
    attention, experts = layer.attention, layer.experts
    linears = {
        f"self_attn.{name}": getattr(attention, name) for name in ("q_proj", "k_proj", "v_proj", "o_proj")
    }
    linears["mlp.router"] = experts.router
    tensors: dict[str, npt.NDArray[Any]] = {
        f"{prefix}.self_attn.sinks": _half(_floats(attention.sinks)),
        f"{prefix}.input_layernorm.weight": _half(_floats(layer.input_norm)),
        f"{prefix}.post_attention_layernorm.weight": _half(_floats(layer.post_norm)),
    }
    for name, linear in linears.items():
        tensors |= _affine(f"{prefix}.{name}", _floats(linear.weight))
        tensors[f"{prefix}.{name}.bias"] = _half(_floats(linear.bias))
    for kind in ("gate", "up", "down"):
        name = f"{prefix}.mlp.experts.{kind}_proj"
        tensors[f"{name}.weight"], tensors[f"{name}.scales"] = pack_mxfp4(
            _floats(getattr(experts, f"{kind}_proj"))
        )
        tensors[f"{name}.bias"] = _half(_floats(getattr(experts, f"{kind}_bias")))
    return tensors


def _table_tensors(model: TinyGptOss, trained_ids: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[Any]]:
    tensors: dict[str, npt.NDArray[Any]] = {"trained_ids": trained_ids.astype(np.int32)}
    for side in ("in", "out"):
        codes, classes = _floats(getattr(model, f"{side}_codes")), _floats(getattr(model, f"{side}_classes"))
        rows, default = _floats(getattr(model, f"{side}_rows")), _floats(getattr(model, f"{side}_default"))
        trained = unit_codes(trained_ids) @ codes + classes[leading_classes()[trained_ids]] + rows
        tensors |= _affine(f"rows.{side}", trained)
        tensors[f"codes.{side}"] = _half(codes)
        tensors[f"classes.{side}"] = _half(classes + default)
    return tensors


def config_sizes(config: ModelConfig) -> dict[str, Any]:
    """Return the sizes as config.json names them."""
    return {
        "hidden_size": config.hidden_size,
        "num_hidden_layers": config.num_layers,
        "num_attention_heads": config.num_heads,
        "num_key_value_heads": config.num_kv_heads,
        "head_dim": config.head_dim,
        "intermediate_size": config.intermediate_size,
        "num_local_experts": config.num_experts,
        "num_experts_per_tok": config.experts_per_token,
        "experts_per_token": config.experts_per_token,
        "sliding_window": config.sliding_window,
        "initial_context_length": config.original_context,
        "rms_norm_eps": config.rms_norm_eps,
        "rope_theta": config.rope_theta,
        "rope_scaling": {
            "rope_type": "yarn",
            "factor": config.yarn_factor,
            "beta_fast": config.yarn_beta_fast,
            "beta_slow": config.yarn_beta_slow,
            "truncate": False,
            "original_max_position_embeddings": config.original_context,
        },
        "swiglu_limit": config.swiglu_limit,
    }


def export(checkpoint: Path, out: Path) -> None:
    """Write the compact file."""
    state = torch.load(checkpoint, weights_only=False)
    config, trained_ids = ModelConfig(), state["trained_ids"]
    model = TinyGptOss(config, len(trained_ids))
    model.load_state_dict(state["model"])
    tensors = _table_tensors(model, trained_ids)
    for index, layer in enumerate(model.blocks):
        tensors |= _layer_tensors(layer, f"model.layers.{index}")
    tensors["model.norm.weight"] = _half(_floats(model.norm))
    contiguous = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
    metadata = {"format": "mlx", "config": json.dumps(config_sizes(config))}
    out.write_bytes(save(contiguous, metadata=metadata))
    print(f"{out}: {out.stat().st_size / 1e6:.2f} MB, {len(trained_ids)} trained rows")


if __name__ == "__main__":
    export(Path(sys.argv[1]), Path(sys.argv[2]))
