"""The shipped file of weights to the full tensors of a gpt_oss checkpoint.

The file holds the layers as they are, and of the two token tables only the trained rows, the maps from codes to rows
and the rows of the leading characters (codes.py). Computed rows and trained rows are quantised alike.
"""

import hashlib
import json
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import safe_open
from safetensors.numpy import load_file

from jupyter_mlx_gpt_oss.demo.affine import Quantised, quantise
from jupyter_mlx_gpt_oss.demo.codes import leading_classes, unit_codes
from jupyter_mlx_gpt_oss.vocabulary import NUM_TOKENS

Tensors = dict[str, npt.NDArray[Any]]

_FILE_NAME = "tiny_gptoss.safetensors"
_TABLES = {"in": "model.embed_tokens", "out": "lm_head"}
_ROWS_AT_ONCE = 32_768  # bounds the memory of unfolding


def compact_file() -> Path:
    """Return the path of the shipped weights."""
    with resources.as_file(resources.files(__package__).joinpath(_FILE_NAME)) as path:
        return path


def compact_digest() -> str:
    """Return the SHA-256 of the shipped weights, in hexadecimal."""
    return hashlib.sha256(compact_file().read_bytes()).hexdigest()


def model_sizes() -> dict[str, Any]:
    """Return the sizes of the model, named as in config.json."""
    with safe_open(compact_file(), framework="numpy") as file:
        sizes: dict[str, Any] = json.loads(file.metadata()["config"])
    return sizes


def trained_token_ids() -> npt.NDArray[np.int64]:
    """Return the ids that have rows of their own, in order; all other rows are computed from codes."""
    with safe_open(compact_file(), framework="numpy") as file:
        ids: npt.NDArray[np.int64] = file.get_tensor("trained_ids").astype(np.int64)
    return ids


def full_tensors() -> Tensors:
    """Return every tensor of the checkpoint, floats in float32: MLX on a CPU is slow in anything smaller."""
    packed: Tensors = load_file(compact_file())
    tensors = {name: _widened(tensor) for name, tensor in packed.items() if name.startswith("model.")}
    trained_ids = packed["trained_ids"].astype(np.int64)
    for side, name in _TABLES.items():
        table = _computed_table(_widened(packed[f"codes.{side}"]), _widened(packed[f"classes.{side}"]))
        for field, full in table._asdict().items():
            full[trained_ids] = _widened(packed[f"rows.{side}.{field}"])
            tensors[f"{name}.{field}"] = full
    return tensors


def _widened(tensor: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return tensor.astype(np.float32) if tensor.dtype == np.float16 else tensor


def _computed_table(codes: npt.NDArray[np.float32], classes: npt.NDArray[np.float32]) -> Quantised:
    """Return the table of all tokens as if none were trained."""
    parts = []
    for start in range(0, NUM_TOKENS, _ROWS_AT_ONCE):
        ids = np.arange(start, min(start + _ROWS_AT_ONCE, NUM_TOKENS))
        parts.append(quantise(unit_codes(ids) @ codes + classes[leading_classes()[ids]]))
    return Quantised(*(np.concatenate(fields) for fields in zip(*parts, strict=True)))
