"""What vLLM's documents say of each field of `POST /v1/completions`, as checks; the section stands beside each field.

Source: vLLM, "OpenAI-Compatible Server" and "Structured Outputs"; vllm/entrypoints/openai/completion/protocol.py,
vllm/sampling_params.py, vllm/entrypoints/generate/base/protocol.py for what is refused, and when.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from llguidance import LLMatcher, grammar_from

from jupyter_mlx_gpt_oss.vocabulary import NUM_TOKENS

MAX_LOGPROBS = 20  # "Engine Arguments", --max-logprobs
_API, _SAMPLING, _EXTRA = (
    "Completions API: API reference",
    "Completions API: Sampling parameters",
    "Completions API: Extra parameters",
)


class RefusalError(Exception):
    """vLLM's answer to a request that it does not take."""

    def __init__(self, message: str, *, param: str | None = None, status: int = 400) -> None:
        super().__init__(message)
        self.message, self.param, self.status = message, param, status

    def body(self) -> dict[str, Any]:
        kind = {401: "Unauthorized", 404: "NotFoundError"}.get(self.status, "BadRequestError")
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.status}}


@dataclass(frozen=True, slots=True)
class Rule:
    """A documented field."""

    section: str
    is_right: Callable[[Any], bool]


def _is_int(value: Any, low: float = float("-inf"), high: float = float("inf")) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _is_number(value: Any, low: float = float("-inf"), high: float = float("inf")) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high


def _is_bool(value: Any) -> bool:
    return isinstance(value, bool)


def _are_token_ids(value: Any) -> bool:
    return isinstance(value, list) and all(_is_int(each, 0, NUM_TOKENS - 1) for each in value)


def _are_biases(value: Any) -> bool:
    return isinstance(value, dict) and all(
        key.isdecimal() and int(key) < NUM_TOKENS and _is_number(bias, -100, 100)
        for key, bias in value.items()
    )


def _is_salt(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 128 and not set(value) & set("@/\\\0")


def _is_structure(value: Any) -> bool:
    """One kind, and for a grammar what the guidance backend compiles: "Structured Outputs", grammar."""
    if not isinstance(value, dict) or len(value) != 1:
        return False
    grammar = value.get("grammar")
    if not isinstance(grammar, str) or not grammar.strip():
        return False
    return not LLMatcher.validate_grammar(grammar_from("grammar", grammar), None)


RULES = {
    "model": Rule(_API, lambda value: isinstance(value, str)),
    "prompt": Rule(_API, lambda value: _are_token_ids(value) and bool(value)),
    "max_tokens": Rule(_API, lambda value: _is_int(value, 1)),
    "frequency_penalty": Rule(_API, lambda value: _is_number(value, -2, 2)),
    "presence_penalty": Rule(_API, lambda value: _is_number(value, -2, 2)),
    "logit_bias": Rule(_API, _are_biases),
    "logprobs": Rule(_API, lambda value: _is_int(value, 0, MAX_LOGPROBS)),
    "seed": Rule(_API, lambda value: _is_int(value, -(2**63), 2**63 - 1)),
    "stream": Rule(_API, _is_bool),
    "stream_options": Rule(
        _API,
        lambda value: isinstance(value, dict) and set(value) <= {"include_usage", "continuous_usage_stats"},
    ),
    "temperature": Rule(_API, lambda value: _is_number(value, 0)),
    "top_p": Rule(_API, lambda value: _is_number(value, 0, 1) and value > 0),
    "user": Rule(_API, lambda value: isinstance(value, str)),
    "top_k": Rule(_SAMPLING, lambda value: _is_int(value, -1)),
    "min_p": Rule(_SAMPLING, lambda value: _is_number(value, 0, 1)),
    "repetition_penalty": Rule(_SAMPLING, lambda value: _is_number(value, 0) and value > 0),
    "stop_token_ids": Rule(_SAMPLING, _are_token_ids),
    "ignore_eos": Rule(_SAMPLING, _is_bool),
    "skip_special_tokens": Rule(_SAMPLING, _is_bool),
    "structured_outputs": Rule(_EXTRA, _is_structure),
    "request_id": Rule(_EXTRA, lambda value: isinstance(value, str)),
    "return_token_ids": Rule(_EXTRA, _is_bool),
    "return_tokens_as_token_ids": Rule(_EXTRA, _is_bool),
    "cache_salt": Rule(_EXTRA, _is_salt),
}


def check_completion(body: dict[str, Any], *, model: str, context_length: int) -> None:
    """Take a request's body or refuse it.

    Raises:
        RefusalError: a field is wrong, or not documented.
    """
    for name, value in body.items():
        if name not in RULES:
            raise RefusalError(f"{name} is no documented field", param=name)
        if not RULES[name].is_right(value):
            raise RefusalError(f"{name} is wrong ({RULES[name].section})", param=name)
    if body.get("model") != model:  # "OpenAI-Compatible Server": the served model's name
        raise RefusalError(f"The model `{body.get('model')}` does not exist.", param="model", status=404)
    if "prompt" not in body:
        raise RefusalError("Either prompt or prompt_embeds must be provided and non-empty.", param="prompt")
    if "stream_options" in body and not body.get("stream"):
        raise RefusalError("Stream options can only be defined when `stream=True`.", param="stream_options")
    num_asked = len(body["prompt"]) + body.get("max_tokens", 16)
    if num_asked > context_length:
        message = (
            f"This model's maximum context length is {context_length} tokens; {num_asked} were asked for."
        )
        raise RefusalError(message, param="max_tokens")
