"""What goes into an engine for one answer, and what comes out of it. Token ids alone; no text."""

from dataclasses import dataclass, field
from enum import StrEnum

from jupyter_mlx_gpt_oss.engine.sampling import SamplingParams


class FinishReason(StrEnum):
    """Why the engine stopped a request."""

    STOP = "stop"
    """A stop token was sampled; it is the last of the output."""
    LENGTH = "length"
    """max_tokens were generated."""
    ABORT = "abort"
    """The request was aborted."""


class ProgressStage(StrEnum):
    """What a request waits for before its first token."""

    DOWNLOADING = "downloading"
    """done and total in bytes."""
    LOADING = "loading"
    """done and total in bytes of weights."""
    WARMING_UP = "warming_up"
    QUEUED = "queued"
    """done: requests ahead of it."""
    PREFILL = "prefill"
    """done and total in prompt tokens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationRequest:
    """One answer to generate."""

    request_id: str
    prompt_token_ids: tuple[int, ...]
    """At least one token."""
    output_token_ids: tuple[int, ...] = ()
    """Tokens of the answer that were generated before, by an engine process that ended; the answer goes on behind them."""
    max_tokens: int
    """Tokens to generate at the most, the stop token and output_token_ids included; at least 1."""
    stop_token_ids: tuple[int, ...]
    """Sampling one of these ends the answer."""
    boundaries: tuple[int, ...] = ()
    """Ascending positions of the prompt, such as message ends, from which other prompts are likely to go on differently."""
    num_logprobs: int | None = None
    """How many of the most likely tokens to report for each sampled one, 0 to 20; None: no log probabilities at all."""
    grammar: str | None = None
    """An llguidance grammar, as JSON, that the whole answer keeps to."""
    caller: str = ""
    """Names whoever asks, opaquely: callers take turns where requests wait. Empty: nobody in particular."""
    sampling: SamplingParams = field(default_factory=SamplingParams)


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where a request stands before its first token; units as ProgressStage says."""

    stage: ProgressStage
    done: int = 0
    total: int = 0


@dataclass(frozen=True, slots=True)
class TokenLogprobs:
    """How likely a sampled token was, before temperature, penalties and filters."""

    logprob: float
    """Natural logarithm of its probability; at most 0."""
    top: tuple[tuple[int, float], ...] = ()
    """The most likely token ids with theirs, the likeliest first; as many as were asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenOutput:
    """The next tokens of a request; the last output of a request, and only that, has a finish reason."""

    token_ids: tuple[int, ...]
    finish_reason: FinishReason | None = None
    num_cached_tokens: int = 0
    """Prompt tokens that need not be computed."""
    logprobs: tuple[TokenLogprobs, ...] = ()
    """One for each token, where the request asked for them."""
