"""Bytes of weights a token, from a checkpoint's headers."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from jupyter_mlx_gpt_oss.check.weights import bytes_per_token, find_checkpoint

_LAYERS, _HIDDEN, _EXPERTS, _VOCABULARY = 24, 2880, 32, 201_088  # gpt-oss-20b


def _sizes() -> Iterator[tuple[str, float]]:
    """Bytes of gpt-oss-20b's tensors with MXFP4 experts (4.25 bits an entry) and the rest in 8 bits (8.5)."""
    yield "model.embed_tokens.weight", _VOCABULARY * _HIDDEN * 8.5 / 8
    yield "lm_head.weight", _VOCABULARY * _HIDDEN * 8.5 / 8
    for layer in range(_LAYERS):
        prefix = f"model.layers.{layer}."
        yield f"{prefix}self_attn.weight", (2 * 64 * 64 + 2 * 8 * 64) * _HIDDEN * 8.5 / 8
        yield f"{prefix}mlp.router.weight", _EXPERTS * _HIDDEN * 8.5 / 8
        yield f"{prefix}mlp.experts.weight", _EXPERTS * 3 * _HIDDEN * _HIDDEN * 4.25 / 8


def test_gpt_oss_20b_reads_2_56_gb_a_token(tmp_path: Path) -> None:
    header, end = {"__metadata__": {"format": "mlx"}}, 0
    tensors = {}
    for name, size in _sizes():
        tensors[name] = {"data_offsets": [end, end + int(size)]}
        end += int(size)
    text = json.dumps({**header, **tensors}).encode()
    (tmp_path / "model.safetensors").write_bytes(len(text).to_bytes(8, "little") + text)
    (tmp_path / "config.json").write_text(json.dumps({"num_local_experts": 32, "num_experts_per_tok": 4}))
    assert bytes_per_token(tmp_path) == pytest.approx(2.56e9, rel=0.01)


def test_both_layouts_are_read(tiny_checkpoint: Path, tiny_openai_checkpoint: Path) -> None:
    for directory in (tiny_checkpoint, tiny_openai_checkpoint):
        whole = sum(file.stat().st_size for file in directory.glob("*.safetensors"))
        assert 0 < bytes_per_token(directory) < whole


def test_a_model_is_found_where_it_was_loaded_from(tiny_checkpoint: Path) -> None:
    assert find_checkpoint(str(tiny_checkpoint)) == tiny_checkpoint
    demo = find_checkpoint("demo")
    assert demo is not None
    assert (demo / "config.json").is_file()
    assert find_checkpoint("nobody/has-downloaded-this") is None
    assert find_checkpoint("no-such-directory") is None
