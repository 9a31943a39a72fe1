"""What is sent to another server and what comes back: `POST completions` as vLLM documents it, with token ids.

Source: vLLM, "OpenAI-Compatible Server", Completions API (sampling parameters, extra parameters), and
vllm/entrypoints/openai/completion/protocol.py.
"""

import hashlib
import hmac
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from jupyter_mlx_gpt_oss.engine.remote_config import RemoteConfig
from jupyter_mlx_gpt_oss.engine.remote_grammar import lark_grammar
from jupyter_mlx_gpt_oss.engine.request import FinishReason, GenerationRequest, TokenLogprobs, TokenOutput
from jupyter_mlx_gpt_oss.errors import ContextLengthError, RemoteEngineError

_ID_PREFIX = "token_id:"
_LEAST_TOP_P = 1e-6  # vLLM takes no 0, which OpenAI's clients may send
_HIGHEST_SEED, _NUM_SEEDS = 2**63, 2**64


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteModel:
    """A model as a server lists it."""

    name: str
    context_length: int
    quantization: str | None = None
    is_demo: bool = False
    is_vllm: bool = False


class _Logprobs(msgspec.Struct):
    tokens: list[str]
    token_logprobs: list[float | None]
    top_logprobs: list[dict[str, float] | None]


class _Choice(msgspec.Struct):
    text: str = ""
    token_ids: list[int] | None = None
    logprobs: _Logprobs | None = None
    finish_reason: str | None = None


class _PromptDetails(msgspec.Struct):
    cached_tokens: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens_details: _PromptDetails | None = None

    @property
    def num_cached_tokens(self) -> int:
        details = self.prompt_tokens_details
        return 0 if details is None else details.cached_tokens or 0


class WireError(msgspec.Struct, frozen=True):
    """An error as a body or a frame has it; vLLM's code is the HTTP status, OpenAI's a name."""

    message: str = ""
    param: str | None = None
    code: int | str | None = None


class Chunk(msgspec.Struct):
    """A frame of a stream."""

    choices: list[_Choice] = []
    usage: _Usage | None = None
    error: WireError | None = None


class _Card(msgspec.Struct):
    id: str
    owned_by: str = ""
    max_model_len: int | None = None  # vLLM's
    context_length: int | None = None  # this package's
    quantization: str | None = None
    demo: bool = False
    parent: str | None = None  # vLLM's: the model that an adapter changes, and whose length is the adapter's


class ModelList(msgspec.Struct):
    """The body of `GET models`."""

    data: list[_Card]

    def find(self, name: str) -> _Card | None:
        """Return the card of a model; an empty name finds the first."""
        return next((card for card in self.data if name in ("", card.id)), None)

    def context_length(self, card: _Card) -> int | None:
        """Return how long a prompt of a model may be with its answer; None: the server does not say."""
        parent = next((each for each in self.data if each.id == card.parent), None)
        lengths = (each and (each.max_model_len or each.context_length) for each in (card, parent))
        return next((length for length in lengths if length), None)


def completion_body(request: GenerationRequest, model: RemoteModel, config: RemoteConfig) -> dict[str, Any]:
    """Return the body that asks a server for a request's answer.

    Raises:
        ContextLengthError: the prompt leaves no room for an answer.
        InvalidRequestError: the grammar is empty.
        UnsupportedFeatureError: the grammar cannot be given to another server.
    """
    num_prompt_tokens = len(request.prompt_token_ids)
    if num_prompt_tokens >= model.context_length:
        raise ContextLengthError(num_prompt_tokens, model.context_length)
    sampling = request.sampling
    body: dict[str, Any] = {
        "model": model.name,
        "prompt": list(request.prompt_token_ids),
        # vLLM refuses more than the context leaves.
        "max_tokens": min(request.max_tokens, model.context_length - num_prompt_tokens),
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": sampling.temperature,
        "top_p": max(sampling.top_p, _LEAST_TOP_P),
        "min_p": sampling.min_p,
        "top_k": 0,  # else a model's generation_config.json would decide
        "presence_penalty": sampling.presence_penalty,
        "frequency_penalty": sampling.frequency_penalty,
        "repetition_penalty": sampling.repetition_penalty,
        "stop_token_ids": list(request.stop_token_ids),
        "ignore_eos": True,  # the request's stop tokens are all that ends it
        "skip_special_tokens": False,
        "return_token_ids": True,
        "request_id": request.request_id,
    }
    return body | _optional_fields(request, model, config)


def _optional_fields(request: GenerationRequest, model: RemoteModel, config: RemoteConfig) -> dict[str, Any]:
    sampling = request.sampling
    fields: dict[str, Any] = {}
    if sampling.seed is not None:
        fields["seed"] = (sampling.seed + _HIGHEST_SEED) % _NUM_SEEDS - _HIGHEST_SEED  # signed on the wire
    if sampling.logit_bias:
        fields["logit_bias"] = {str(token_id): bias for token_id, bias in sampling.logit_bias.items()}
    if sampling.repetition_penalty != 1.0 and not model.is_vllm:
        fields["repetition_context_size"] = sampling.repetition_context_size
    if request.num_logprobs is not None:
        fields |= {"logprobs": request.num_logprobs, "return_tokens_as_token_ids": True}
    if request.grammar is not None:
        fields["structured_outputs"] = {"grammar": lark_grammar(request.grammar)}
    if request.caller:
        fields["user"] = request.caller
        if config.salts_cache:
            # With the key, so that nobody who knows a caller's name can make the salt.
            digest = hmac.digest(config.key.encode(), request.caller.encode(), hashlib.sha256)
            fields["cache_salt"] = digest.hex()
    return fields


def read_output(chunk: Chunk, num_logprobs: int | None) -> TokenOutput | None:
    """Return what a chunk adds to the answer; None: nothing.

    Raises:
        RemoteEngineError: it has text without token ids, or no log probabilities though they were asked for.
    """
    if not chunk.choices:
        return None
    (choice,) = chunk.choices
    if choice.token_ids is None and choice.text:
        raise RemoteEngineError(
            "The remote engine sends text without token ids: it does not know `return_token_ids`. Use a newer one."
        )
    token_ids = tuple(choice.token_ids or ())
    reason = None if choice.finish_reason is None else _finish_reason(choice.finish_reason)
    if not token_ids and reason is None:
        return None
    logprobs = () if num_logprobs is None else tuple(_logprobs(choice.logprobs, num_logprobs))
    if num_logprobs is not None and len(logprobs) != len(token_ids):
        raise RemoteEngineError("The remote engine sends no log probabilities for its tokens.")
    return TokenOutput(token_ids=token_ids, finish_reason=reason, logprobs=logprobs)


def _finish_reason(name: str) -> FinishReason:
    try:
        return FinishReason(name)
    except ValueError:
        message = f"The remote engine ended an answer for a reason that is not known: {name[:40]!r}."
        raise RemoteEngineError(message) from None


def _logprobs(logprobs: _Logprobs | None, num_top: int) -> Iterable[TokenLogprobs]:
    if logprobs is None:
        return
    for logprob, top in zip(logprobs.token_logprobs, logprobs.top_logprobs, strict=True):
        # The sampled token stands among the likeliest, though it may not be one of them.
        entries = sorted((top or {}).items(), key=lambda entry: -entry[1])[:num_top]
        yield TokenLogprobs(
            -9999.0 if logprob is None else logprob,
            tuple((_token_id(name), each) for name, each in entries),
        )


def _token_id(name: str) -> int:
    if not name.removeprefix(_ID_PREFIX).isdecimal():
        raise RemoteEngineError("The remote engine does not name tokens by `return_tokens_as_token_ids`.")
    return int(name.removeprefix(_ID_PREFIX))


def prefix_marks(token_ids: Sequence[int], ends: Iterable[int]) -> dict[int, bytes]:
    """Return a digest of the prompt's beginning up to each of the ends, which ascend."""
    digest, start, marks = hashlib.blake2b(digest_size=16), 0, {}
    for end in ends:
        digest.update(b"".join(token_id.to_bytes(4, "little") for token_id in token_ids[start:end]))
        marks[end] = digest.copy().digest()
        start = end
    return marks
