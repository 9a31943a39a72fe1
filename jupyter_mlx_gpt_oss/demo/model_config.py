"""The sizes of the model to config.json and generation_config.json, as Hugging Face and mlx-lm read them."""

from typing import Any

from jupyter_mlx_gpt_oss.demo.affine import BITS, GROUP_SIZE
from jupyter_mlx_gpt_oss.vocabulary import NUM_TOKENS, SPECIAL_TOKENS

_EOS = SPECIAL_TOKENS["<|return|>"]
_PAD = SPECIAL_TOKENS["<|endoftext|>"]
_CALL = SPECIAL_TOKENS["<|call|>"]
_AFFINE = {"group_size": GROUP_SIZE, "bits": BITS, "mode": "affine"}
_MXFP4 = {"group_size": 32, "bits": 4, "mode": "mxfp4"}
_AFFINE_IN_LAYER = (
    "self_attn.q_proj",
    "self_attn.k_proj",
    "self_attn.v_proj",
    "self_attn.o_proj",
    "mlp.router",
)


def generation_config() -> dict[str, Any]:
    """Return generation_config.json."""
    return {
        "bos_token_id": SPECIAL_TOKENS["<|startoftext|>"],
        "do_sample": True,
        "eos_token_id": [_EOS, _PAD, _CALL],
        "pad_token_id": _PAD,
    }


def model_config(sizes: dict[str, Any]) -> dict[str, Any]:
    """Return config.json.

    Args:
        sizes: what the shipped weights say of themselves, see training/export.py.
    """
    num_layers = sizes["num_hidden_layers"]
    quantization = _quantization(num_layers)
    return {
        "architectures": ["GptOssForCausalLM"],
        "model_type": "gpt_oss",
        "attention_bias": True,
        "attention_dropout": 0.0,
        "eos_token_id": [_EOS, _CALL],
        "hidden_act": "silu",
        "initializer_range": 0.02,
        "layer_types": [
            "full_attention" if index % 2 else "sliding_attention" for index in range(num_layers)
        ],
        "max_position_embeddings": 131_072,
        "output_router_logits": False,
        "pad_token_id": _PAD,
        "quantization": quantization,
        "quantization_config": quantization,
        "router_aux_loss_coef": 0.9,
        "tie_word_embeddings": False,
        "torch_dtype": "float32",
        "use_cache": True,
        "vocab_size": NUM_TOKENS,
        **sizes,
    }


def _quantization(num_layers: int) -> dict[str, Any]:
    layers = (f"model.layers.{index}.{name}" for index in range(num_layers) for name in _AFFINE_IN_LAYER)
    return {**_MXFP4, **dict.fromkeys(["model.embed_tokens", "lm_head", *layers], _AFFINE)}
