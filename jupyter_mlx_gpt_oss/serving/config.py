"""Everything that the HTTP side can be told at its start, as one frozen value. `config.py` makes it of traits."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingConfig:
    """Limits of the HTTP side. Every bounded thing of it has its bound here."""

    keep_alive_seconds: float = 15.0
    """A stream that was silent for so long gets a comment, so that no proxy takes it for dead."""
    max_loading_wait_seconds: float = 60.0
    """A request that does not stream waits so long for the model to load, and is answered with ModelLoadingError then."""
    max_body_bytes: int = 16 * 1024 * 1024
    """A request with more bytes is refused with RequestTooLargeError."""
    max_prompt_bytes: int = 4 * 1024 * 1024
    """A prompt whose text has more, as UTF-8, is refused with RequestTooLargeError."""
    turn_memory_max_items: int = 1024
    """Turns that are kept as sampled, for the prompts that go on from them."""
    turn_memory_max_bytes: int = 16 * 1024 * 1024
    """Of all these turns together."""
    stored_responses_max_items: int = 256
    """Responses that are kept, for `previous_response_id` and to be read again."""
    stored_responses_max_bytes: int = 64 * 1024 * 1024
    """Of all these responses together, with the items that they go on from."""
    max_response_items: int = 10_000
    """Items of a response's input and of the responses that it goes on from, together."""
    allowed_models: Sequence[str] | None = None
    """What `v1/load` may switch to, besides the configured model; None: whatever it is asked for."""
    debug_raw_preview_chars: int = 0
    """Of each raw prompt and answer, characters that are logged at DEBUG; 0: none."""
    stop_grace_seconds: float = 2.0
    """How long open requests may take to end when the server stops."""

    def __post_init__(self) -> None:
        least = min(
            self.keep_alive_seconds, self.max_body_bytes, self.max_prompt_bytes, self.max_response_items
        )
        if least <= 0 or self.stop_grace_seconds < 0:
            raise ValueError(
                "keep_alive_seconds, max_body_bytes, max_prompt_bytes and max_response_items are above 0, "
                "stop_grace_seconds is at least 0"
            )
        if min(self.turn_memory_max_items, self.turn_memory_max_bytes, self.max_loading_wait_seconds) < 0:
            raise ValueError(
                "turn_memory_max_items, turn_memory_max_bytes and max_loading_wait_seconds are at least 0"
            )
        if self.stored_responses_max_items < 0 or self.stored_responses_max_bytes < 0:
            raise ValueError("stored_responses_max_items and stored_responses_max_bytes are at least 0")
