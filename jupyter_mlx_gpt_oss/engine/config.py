"""Everything that an engine can be told at its start, as one frozen value. `config.py` makes it of traits."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineConfig:
    """Limits and choices of one engine. Every bounded thing of the engine has its bound here."""

    model: str = "demo"
    """`demo`, a local directory, or a Hugging Face id."""
    hostfile: str = ""
    """A hostfile of `mlx.launch`: the model is shared by as many ranks as it has hosts. Empty: one process."""
    context_length: int | None = None
    """Tokens of prompt and answer together; None: what the model was made for."""
    max_running_requests: int = 8
    """Requests that decode together."""
    max_waiting_requests: int = 64
    """Requests that may wait; one more is refused with QueueFullError."""
    max_requests_per_user: int | None = None
    """Of these, running and waiting, one caller's; one more is refused with QueueFullError. None: all of them."""
    max_prefill_tokens: int = 2048
    """Prompt tokens computed in one step, at the most."""
    max_token_gap_seconds: float = 0.25
    """While answers are being written, a step reads so few prompt tokens that none waits longer for its next token."""
    prompt_lookup_tokens: int = 6
    """Tokens guessed and checked in one step for an answer written alone, where it repeats what was said before; 0: none."""
    prefix_cache_bytes: int | None = None
    """Keys and values kept of earlier prompts and answers; 0: none; None: a quarter of the memory that is free."""
    idle_unload_seconds: float = 0.0
    """Without a request for so long the model is unloaded; 0: never."""
    stall_timeout_seconds: float = 120.0
    """A busy engine process that reports nothing for so long is replaced."""
    stop_timeout_seconds: float = 5.0
    """How long the engine process may take to end before it is killed."""

    def __post_init__(self) -> None:
        if min(self.max_running_requests, self.max_prefill_tokens) < 1 or self.max_waiting_requests < 0:
            raise ValueError(
                "max_running_requests and max_prefill_tokens start at 1, max_waiting_requests at 0"
            )
