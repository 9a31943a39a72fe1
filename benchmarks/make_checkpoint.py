"""Make gpt_oss checkpoints with random weights: the shapes that matter, without a download.

    python -m benchmarks.make_checkpoint full DIR           gpt-oss-20b's exact shapes, 2 layers, 4 experts
    python -m benchmarks.make_checkpoint proportioned DIR   24 layers, 32 experts top-4, hidden 128, expert width 2048
    python -m benchmarks.make_checkpoint tiny DIR           for tests: 4 layers, 1,024 tokens of vocabulary
    ... --layout openai                                     OpenAI's own names: gate_up_proj_blocks, bf16 rest

`full` proves that the real quantised path works; on a CPU it is far too slow to measure. `proportioned` has the number of
layers and experts of gpt-oss-20b, so that its steps are made of the same many small operations.
"""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlx.core as mx

_HEAD_SIZE = 64
_EXPERT_GROUP, _REST_GROUP = 32, 64  # entries that share a scale: MXFP4, and 8-bit affine


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Sizes of a gpt_oss model."""

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    experts: int
    experts_per_token: int
    expert_width: int
    vocabulary: int = 201_088


SHAPES = {
    "full": Shape(
        hidden=2880, layers=2, heads=64, kv_heads=8, experts=4, experts_per_token=2, expert_width=2880
    ),
    "proportioned": Shape(
        hidden=128, layers=24, heads=4, kv_heads=2, experts=32, experts_per_token=4, expert_width=2048
    ),
    "tiny": Shape(
        hidden=64,
        layers=4,
        heads=4,
        kv_heads=2,
        experts=4,
        experts_per_token=2,
        expert_width=64,
        vocabulary=1024,
    ),
}


class CheckpointMaker:
    """Random tensors of one shape, in the names and packing of one layout."""

    def __init__(self, shape: Shape, layout: str, seed: int = 0) -> None:
        mx.random.seed(seed)
        self._shape = shape
        self._is_openai = layout == "openai"
        self.weights: dict[str, mx.array] = {}
        self.quantization: dict[str, Any] = {"group_size": _EXPERT_GROUP, "bits": 4, "mode": "mxfp4"}

    def make(self) -> None:
        """Fill `weights` and `quantization`."""
        shape = self._shape
        self._linear(
            "model.embed_tokens", shape.vocabulary, shape.hidden, has_bias=False, gain=shape.hidden**0.5
        )
        self._linear("lm_head", shape.vocabulary, shape.hidden, has_bias=False, gain=4.0)
        self.weights["model.norm.weight"] = mx.ones((shape.hidden,), mx.bfloat16)
        for index in range(shape.layers):
            self._layer(f"model.layers.{index}.")

    def _layer(self, prefix: str) -> None:
        shape = self._shape
        for name, outputs in (("q", shape.heads), ("k", shape.kv_heads), ("v", shape.kv_heads)):
            self._linear(f"{prefix}self_attn.{name}_proj", outputs * _HEAD_SIZE, shape.hidden)
        self._linear(f"{prefix}self_attn.o_proj", shape.hidden, shape.heads * _HEAD_SIZE)
        self._linear(f"{prefix}mlp.router", shape.experts, shape.hidden)
        self.weights[f"{prefix}self_attn.sinks"] = mx.zeros((shape.heads,), mx.bfloat16)
        for name in ("input_layernorm", "post_attention_layernorm"):
            self.weights[f"{prefix}{name}.weight"] = mx.ones((shape.hidden,), mx.bfloat16)
        experts = f"{prefix}mlp.experts."
        if self._is_openai:
            self._openai_experts(f"{experts}gate_up_proj", 2 * shape.expert_width, shape.hidden)
            self._openai_experts(f"{experts}down_proj", shape.hidden, shape.expert_width)
        else:
            self._experts(f"{experts}gate_proj", shape.expert_width, shape.hidden)
            self._experts(f"{experts}up_proj", shape.expert_width, shape.hidden)
            self._experts(f"{experts}down_proj", shape.hidden, shape.expert_width)

    def _linear(
        self, name: str, outputs: int, inputs: int, *, has_bias: bool = True, gain: float = 1.0
    ) -> None:
        if has_bias:
            self.weights[f"{name}.bias"] = mx.zeros((outputs,), mx.bfloat16)
        if self._is_openai:
            noise = mx.random.normal((outputs, inputs)) * (gain / inputs**0.5)
            self.weights[f"{name}.weight"] = noise.astype(mx.bfloat16)
            return
        scale = (
            3.4 * gain / 255 / inputs**0.5
        )  # uniform bytes, so that an entry's deviation is gain / sqrt(inputs)
        groups = (outputs, inputs // _REST_GROUP)
        self.weights[f"{name}.weight"] = _random_words(outputs, inputs // 4)
        self.weights[f"{name}.scales"] = mx.full(groups, scale, mx.bfloat16)
        self.weights[f"{name}.biases"] = mx.full(groups, -127.5 * scale, mx.bfloat16)
        self.quantization[name] = {"group_size": _REST_GROUP, "bits": 8, "mode": "affine"}

    def _experts(self, name: str, outputs: int, inputs: int) -> None:
        experts = self._shape.experts
        self.weights[f"{name}.weight"] = _random_words(experts, outputs, inputs // 8)
        self.weights[f"{name}.scales"] = _expert_scales(inputs, (experts, outputs, inputs // _EXPERT_GROUP))
        self.weights[f"{name}.bias"] = mx.zeros((experts, outputs), mx.bfloat16)

    def _openai_experts(self, name: str, outputs: int, inputs: int) -> None:
        experts, groups = self._shape.experts, inputs // _EXPERT_GROUP
        words = _random_words(experts, outputs, groups, _EXPERT_GROUP // 8)
        self.weights[f"{name}_blocks"] = words.view(mx.uint8)
        self.weights[f"{name}_scales"] = _expert_scales(inputs, (experts, outputs, groups))
        self.weights[f"{name}_bias"] = mx.zeros((experts, outputs), mx.bfloat16)

    def config(self) -> dict[str, Any]:
        """Return what config.json says."""
        shape = self._shape
        quantization: dict[str, Any] = (
            {"quantization_config": {"quant_method": "mxfp4"}}
            if self._is_openai
            else {"quantization": self.quantization, "quantization_config": self.quantization}
        )
        return {
            "architectures": ["GptOssForCausalLM"],
            "model_type": "gpt_oss",
            "attention_bias": True,
            "eos_token_id": 200_002,
            "pad_token_id": 199_999,
            "hidden_act": "silu",
            "hidden_size": shape.hidden,
            "num_hidden_layers": shape.layers,
            "num_attention_heads": shape.heads,
            "num_key_value_heads": shape.kv_heads,
            "head_dim": _HEAD_SIZE,
            "intermediate_size": shape.expert_width,
            "num_local_experts": shape.experts,
            "num_experts_per_tok": shape.experts_per_token,
            "sliding_window": 128,
            "initial_context_length": 4096,
            "max_position_embeddings": 131_072,
            "rms_norm_eps": 1e-5,
            "rope_theta": 150_000,
            "rope_scaling": {
                "rope_type": "yarn",
                "factor": 32.0,
                "beta_fast": 32.0,
                "beta_slow": 1.0,
                "truncate": False,
                "original_max_position_embeddings": 4096,
            },
            "swiglu_limit": 7.0,
            "layer_types": ["sliding_attention", "full_attention"] * (shape.layers // 2),
            "tie_word_embeddings": False,
            "torch_dtype": "bfloat16",
            "vocab_size": shape.vocabulary,
            **quantization,
        }


def _random_words(*shape: int) -> mx.array:
    return mx.random.randint(-(2**31), 2**31 - 1, shape, dtype=mx.int32).view(mx.uint32)


def _expert_scales(inputs: int, shape: tuple[int, ...]) -> mx.array:
    """Return MXFP4's power-of-two scales; random 4-bit entries have a deviation of about 2.9."""
    exponent = round(mx.log2(mx.array(1 / 2.9 / inputs**0.5)).item())
    return mx.full(shape, 127 + exponent, mx.uint8)


def make_checkpoint(kind: str, directory: Path, layout: str = "mlx", seed: int = 0) -> Path:
    """Write a checkpoint with random weights; one that is there already is kept.

    Args:
        kind: a key of SHAPES.
        directory: made if need be.
        layout: `mlx` or `openai`.
        seed: of the weights.
    """
    file = directory / "model.safetensors"
    if not file.is_file():
        maker = CheckpointMaker(SHAPES[kind], layout, seed)
        maker.make()
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "config.json").write_text(json.dumps(maker.config(), indent=1))
        mx.save_safetensors(str(file), maker.weights, metadata={"format": "mlx"})
    return directory


def main() -> None:
    """Make the checkpoint that the command line names."""
    parser = argparse.ArgumentParser(description="Make a gpt_oss checkpoint with random weights.")
    parser.add_argument("kind", choices=sorted(SHAPES))
    parser.add_argument("directory", type=Path)
    parser.add_argument("--layout", choices=("mlx", "openai"), default="mlx")
    arguments = parser.parse_args()
    directory = make_checkpoint(arguments.kind, arguments.directory, arguments.layout)
    print(directory, f"{(directory / 'model.safetensors').stat().st_size / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
