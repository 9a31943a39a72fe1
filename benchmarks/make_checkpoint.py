"""Make gpt_oss checkpoints with random weights: the shapes that matter, without a download.

    python -m benchmarks.make_checkpoint 20b DIR            gpt-oss-20b's exact shapes, whole: 12 GB on disk, made in 2 GB
    python -m benchmarks.make_checkpoint full DIR           the same with 2 layers and 8 experts
    python -m benchmarks.make_checkpoint proportioned DIR   24 layers, 32 experts top-4, hidden 128, expert width 2048
    python -m benchmarks.make_checkpoint tiny DIR           for tests: 4 layers, 1,024 tokens of vocabulary
    ... --layout openai                                     OpenAI's own names: gate_up_proj_blocks, plain rest
    ... --layout mlx-plain                                  MLX's names, plain rest

`20b` is for a GPU or a Mac. `full` proves that the real quantised path works; on a CPU it is far too slow to measure.
`proportioned` has the number of layers and experts of gpt-oss-20b, so that its steps are made of the same many small operations;
what is not packed of it is float32, as a CPU wants it, since a peer computes in what it finds.

A checkpoint with the whole vocabulary has the tokenizer that peers need. In the layout `mlx` its answers begin as Harmony says
(`<|channel|>final<|message|>`) and never end by themselves: what a server has to parse is well-formed, and every answer has as
many tokens as it was asked for, though the words are noise.
"""

import argparse
import itertools
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlx.core as mx

from jupyter_mlx_gpt_oss import demo

_HEAD_SIZE = 64
_EXPERT_GROUP, _REST_GROUP = 32, 64  # entries that share a scale: MXFP4, and 8-bit affine
_WHOLE_VOCABULARY = 201_088
_FIRST_CONTROL_TOKEN = 199_998
_HEADER = (173_781, 200_005, 17_196, 200_008)  # `assistant`, `<|channel|>`, `final`, `<|message|>`
_LOUDNESS = 30.0  # of the header's embeddings: so much more than what the layers add to them
_HEADER_LOGIT = 40.0  # of the header's next token; the most of 201,088 random logits is about 20


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
    vocabulary: int = _WHOLE_VOCABULARY
    dtype: mx.Dtype = mx.bfloat16
    """Of what is not packed."""
    quiet_bits: int = 0
    """How often what the layers add is halved: else it soon drowns the embedding, and one token is repeated for ever."""
    is_sharded: bool = False
    """Whether each layer has a file of its own."""


SHAPES = {
    "20b": Shape(
        hidden=2880,
        layers=24,
        heads=64,
        kv_heads=8,
        experts=32,
        experts_per_token=4,
        expert_width=2880,
        quiet_bits=10,
        is_sharded=True,
    ),
    "full": Shape(
        hidden=2880,
        layers=2,
        heads=64,
        kv_heads=8,
        experts=8,
        experts_per_token=4,
        expert_width=2880,
        quiet_bits=10,
    ),
    "proportioned": Shape(
        hidden=128,
        layers=24,
        heads=4,
        kv_heads=2,
        experts=32,
        experts_per_token=4,
        expert_width=2048,
        dtype=mx.float32,
        quiet_bits=10,
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
        self._is_plain = layout != "mlx"
        self._weights: dict[str, mx.array] = {}
        self.quantization: dict[str, Any] = {"group_size": _EXPERT_GROUP, "bits": 4, "mode": "mxfp4"}

    def parts(self) -> Iterator[dict[str, mx.array]]:
        """Yield the tensors outside the layers, then those of each layer; fills `quantization` on the way."""
        shape = self._shape
        self._linear(
            "model.embed_tokens", shape.vocabulary, shape.hidden, has_bias=False, gain=shape.hidden**0.5
        )
        self._linear("lm_head", shape.vocabulary, shape.hidden, has_bias=False, gain=4.0)
        self._weights["model.norm.weight"] = mx.ones((shape.hidden,), shape.dtype)
        if shape.vocabulary == _WHOLE_VOCABULARY and not self._is_plain:
            self._teach_header()
        yield self._taken()
        for index in range(shape.layers):
            self._layer(f"model.layers.{index}.")
            yield self._taken()

    def _taken(self) -> dict[str, mx.array]:
        weights, self._weights = self._weights, {}
        return weights

    def _teach_header(self) -> None:
        """Make each token of the header be followed by the next, and no other control token ever come."""
        scaled = ("scales", "biases")
        for part in scaled:
            head, embedding = self._weights[f"lm_head.{part}"], self._weights[f"model.embed_tokens.{part}"]
            head[_FIRST_CONTROL_TOKEN:] = 0  # a logit of 0 is far below the largest
            for token, following in itertools.pairwise(_HEADER):
                head[following] = embedding[token] * (_HEADER_LOGIT / self._shape.hidden)
            for token in _HEADER[:-1]:
                embedding[token] = embedding[token] * _LOUDNESS
        words, rows = self._weights["lm_head.weight"], self._weights["model.embed_tokens.weight"]
        for token, following in itertools.pairwise(_HEADER):
            words[following] = rows[token]

    def _layer(self, prefix: str) -> None:
        shape = self._shape
        for name, outputs in (("q", shape.heads), ("k", shape.kv_heads), ("v", shape.kv_heads)):
            self._linear(f"{prefix}self_attn.{name}_proj", outputs * _HEAD_SIZE, shape.hidden)
        quiet = 2.0**-shape.quiet_bits
        self._linear(f"{prefix}self_attn.o_proj", shape.hidden, shape.heads * _HEAD_SIZE, gain=quiet)
        self._linear(f"{prefix}mlp.router", shape.experts, shape.hidden)
        self._weights[f"{prefix}self_attn.sinks"] = mx.zeros((shape.heads,), self._shape.dtype)
        for name in ("input_layernorm", "post_attention_layernorm"):
            self._weights[f"{prefix}{name}.weight"] = mx.ones((shape.hidden,), self._shape.dtype)
        experts = f"{prefix}mlp.experts."
        if self._is_openai:
            self._openai_experts(f"{experts}gate_up_proj", 2 * shape.expert_width, shape.hidden)
            self._openai_experts(f"{experts}down_proj", shape.hidden, shape.expert_width, shape.quiet_bits)
        else:
            self._experts(f"{experts}gate_proj", shape.expert_width, shape.hidden)
            self._experts(f"{experts}up_proj", shape.expert_width, shape.hidden)
            self._experts(f"{experts}down_proj", shape.hidden, shape.expert_width, shape.quiet_bits)

    def _linear(
        self, name: str, outputs: int, inputs: int, *, has_bias: bool = True, gain: float = 1.0
    ) -> None:
        if has_bias:
            self._weights[f"{name}.bias"] = mx.zeros((outputs,), self._shape.dtype)
        if self._is_plain:
            noise = mx.random.normal((outputs, inputs)) * (gain / inputs**0.5)
            self._weights[f"{name}.weight"] = noise.astype(self._shape.dtype)
            return
        scale = (
            3.4 * gain / 255 / inputs**0.5
        )  # uniform bytes, so that an entry's deviation is gain / sqrt(inputs)
        groups = (outputs, inputs // _REST_GROUP)
        self._weights[f"{name}.weight"] = _random_words(outputs, inputs // 4)
        self._weights[f"{name}.scales"] = mx.full(groups, scale, self._shape.dtype)
        self._weights[f"{name}.biases"] = mx.full(groups, -127.5 * scale, self._shape.dtype)
        self.quantization[name] = {"group_size": _REST_GROUP, "bits": 8, "mode": "affine"}

    def _experts(self, name: str, outputs: int, inputs: int, quiet_bits: int = 0) -> None:
        experts = self._shape.experts
        self._weights[f"{name}.weight"] = _random_words(experts, outputs, inputs // 8)
        self._weights[f"{name}.scales"] = _expert_scales(
            inputs, quiet_bits, (experts, outputs, inputs // _EXPERT_GROUP)
        )
        self._weights[f"{name}.bias"] = mx.zeros((experts, outputs), self._shape.dtype)

    def _openai_experts(self, name: str, outputs: int, inputs: int, quiet_bits: int = 0) -> None:
        experts, groups = self._shape.experts, inputs // _EXPERT_GROUP
        words = _random_words(experts, outputs, groups, _EXPERT_GROUP // 8)
        self._weights[f"{name}_blocks"] = words.view(mx.uint8)
        self._weights[f"{name}_scales"] = _expert_scales(inputs, quiet_bits, (experts, outputs, groups))
        self._weights[f"{name}_bias"] = mx.zeros((experts, outputs), self._shape.dtype)

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
            "eos_token_id": [200_002, 200_012],
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
            "torch_dtype": str(shape.dtype).removeprefix("mlx.core."),
            "vocab_size": shape.vocabulary,
            **quantization,
        }


def _random_words(*shape: int) -> mx.array:
    return mx.random.randint(-(2**31), 2**31 - 1, shape, dtype=mx.int32).view(mx.uint32)


def _expert_scales(inputs: int, quiet_bits: int, shape: tuple[int, ...]) -> mx.array:
    """Return MXFP4's power-of-two scales; random 4-bit entries have a deviation of about 2.9."""
    exponent = round(mx.log2(mx.array(1 / 2.9 / inputs**0.5)).item())
    return mx.full(shape, 127 + exponent - quiet_bits, mx.uint8)


def make_checkpoint(kind: str, directory: Path, layout: str = "mlx", seed: int = 0) -> Path:
    """Write a checkpoint with random weights; one that is there already is kept.

    Args:
        kind: a key of SHAPES.
        directory: made if need be.
        layout: `mlx`, `mlx-plain` or `openai`.
        seed: of the weights.
    """
    config = directory / "config.json"  # written last
    if not config.is_file():
        shape = SHAPES[kind]
        maker = CheckpointMaker(shape, layout, seed)
        directory.mkdir(parents=True, exist_ok=True)
        if shape.is_sharded:
            _write_shards(directory, maker.parts(), shape.layers + 1)
        else:
            weights = {name: tensor for part in maker.parts() for name, tensor in part.items()}
            _save(directory / "model.safetensors", weights)
        if shape.vocabulary == _WHOLE_VOCABULARY:
            _copy_tokenizer(directory)
        config.write_text(json.dumps(maker.config(), indent=1), encoding="utf-8")
    return directory


def _write_shards(directory: Path, parts: Iterator[dict[str, mx.array]], count: int) -> None:
    """Write each part to a file of its own as it is made, so that none but it is in memory."""
    places: dict[str, str] = {}
    for number, part in enumerate(parts, start=1):
        name = f"model-{number:05}-of-{count:05}.safetensors"
        _save(directory / name, part)
        places |= dict.fromkeys(part, name)
        part.clear()
        mx.clear_cache()
    index = {"metadata": {}, "weight_map": places}
    (directory / "model.safetensors.index.json").write_text(json.dumps(index, indent=1), encoding="utf-8")


def _save(file: Path, weights: dict[str, mx.array]) -> None:
    mx.save_safetensors(str(file), weights, metadata={"format": "mlx"})


def _copy_tokenizer(directory: Path) -> None:
    unfolded = demo.cached_checkpoint()
    for name in ("generation_config.json", "tokenizer.json", "tokenizer_config.json"):
        shutil.copy(unfolded / name, directory / name)


def main() -> None:
    """Make the checkpoint that the command line names."""
    parser = argparse.ArgumentParser(description="Make a gpt_oss checkpoint with random weights.")
    parser.add_argument("kind", choices=sorted(SHAPES))
    parser.add_argument("directory", type=Path)
    parser.add_argument("--layout", choices=("mlx", "mlx-plain", "openai"), default="mlx")
    arguments = parser.parse_args()
    directory = make_checkpoint(arguments.kind, arguments.directory, arguments.layout)
    num_bytes = sum(file.stat().st_size for file in directory.glob("model*.safetensors"))
    print(directory, f"{num_bytes / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
