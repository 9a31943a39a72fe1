"""Everything that the HTTP side can be told at its start, as one frozen value. `config.py` makes it of traits."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingConfig:
    """Limits of the HTTP side. Every bounded thing of it has its bound here."""

    keep_alive_seconds: float = 15.0
    """A stream that was silent for so long gets a comment, so that no proxy takes it for dead."""
    max_body_bytes: int = 16 * 1024 * 1024
    """A request with more bytes is refused with RequestTooLargeError."""
    turn_memory_max_items: int = 1024
    """Turns that are kept as sampled, for the prompts that go on from them."""
    turn_memory_max_bytes: int = 16 * 1024 * 1024
    """Of all these turns together."""
    stored_responses_max_items: int = 256
    """Responses that are kept, for `previous_response_id` and to be read again."""
    stored_responses_max_bytes: int = 64 * 1024 * 1024
    """Of all these responses together, with the items that they go on from."""
    debug_raw_preview_chars: int = 0
    """Of each raw prompt and answer, characters that are logged at DEBUG; 0: none."""
    stop_grace_seconds: float = 2.0
    """How long open requests may take to end when the server stops."""

    def __post_init__(self) -> None:
        if self.keep_alive_seconds <= 0 or self.max_body_bytes < 1 or self.stop_grace_seconds < 0:
            raise ValueError(
                "keep_alive_seconds and max_body_bytes are above 0, stop_grace_seconds is at least 0"
            )
        if self.turn_memory_max_items < 0 or self.turn_memory_max_bytes < 0:
            raise ValueError("turn_memory_max_items and turn_memory_max_bytes are at least 0")
        if self.stored_responses_max_items < 0 or self.stored_responses_max_bytes < 0:
            raise ValueError("stored_responses_max_items and stored_responses_max_bytes are at least 0")
