"""The protocol that every engine follows; `GptOss.engine_class` takes any implementation of it.

An engine belongs to one asyncio event loop. Every method is called there, and none of them blocks it.
"""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from jupyter_mlx_gpt_oss.engine.request import GenerationRequest, Progress, TokenOutput

REMOTE = "remote"
"""The device of a model on another server."""


class EngineState(StrEnum):
    """Where the model is."""

    UNLOADED = "unloaded"
    LOADING = "loading"
    READY = "ready"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """What is known of a model once it is loaded."""

    name: str
    """As the user named it: `demo`, a directory's name, a Hugging Face id."""
    context_length: int
    """Tokens of prompt and answer together."""
    quantization: str | None
    """Such as `mxfp4 experts, 8-bit rest`; None for unquantised weights."""
    vocabulary_size: int
    """Token ids go from 0 to this, exclusive."""
    is_demo: bool
    weight_bytes: int
    device: str
    """`gpu`, `cpu`, or REMOTE."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineStatus:
    """A snapshot of an engine; costs nothing to take and never waits for the model."""

    state: EngineState
    model: ModelInfo | None = None
    num_running: int = 0
    num_waiting: int = 0
    memory_bytes: int = 0
    """Memory of the engine process in use by MLX."""
    prefix_cache_bytes: int = 0
    """Of it, keys and values kept of earlier prompts and answers."""
    snapshot_bytes: int = 0
    """Of those, what the sliding layers need to go on from some position."""
    live_kv_bytes: int = 0
    """Keys and values of the requests that run."""
    step_seconds: float = 0.0
    """How long the last step took."""
    num_restarts: int = 0
    """How often the engine process had to be replaced."""
    tokens_per_second: float = 0.0
    """Tokens generated a second by all requests together, over the last seconds."""
    progress: Progress | None = None
    """How far loading is, while it goes on."""
    error: str | None = None
    """Why the model is not ready, for a person; no prompt, no answer."""


class Engine(Protocol):
    """Tokens in, tokens out."""

    def status(self) -> EngineStatus:
        """Return a snapshot."""
        ...

    async def load(self, model: str | None = None) -> ModelInfo:
        """Load the model if it is not loaded, or switch to another; return what is known of it.

        Where another cannot be loaded, the one before stays the one that the next request loads.

        Raises:
            ModelLoadError, OutOfMemoryError: the model cannot be loaded. The next call tries again.
            EngineDeadError: the engine process ended while loading.
        """
        ...

    def generate(self, request: GenerationRequest) -> AsyncGenerator[Progress | TokenOutput, None]:
        """Generate one answer: any number of Progress, then TokenOutput until one has a finish reason.

        Loads the model if need be, and tells of a stage behind loading once that is over: a request that hears of none is
        given up after a while. Closing the iterator early aborts the request.

        Raises:
            QueueFullError: before the first item.
            ContextLengthError, InvalidRequestError: before the first item where the model is loaded.
            ModelLoadError, OutOfMemoryError, GenerationError, EngineDeadError: at any item.
        """
        ...

    def abort(self, request_id: str) -> None:
        """Stop a request; its iterator ends with FinishReason.ABORT. Unknown ids are ignored."""
        ...

    def precompute(self, prompt_token_ids: tuple[int, ...]) -> None:
        """Read a prompt ahead while there is nothing else to do, so that a later request goes on from it.

        Dropped as soon as a request arrives, and ignored while no model is loaded.
        """
        ...

    async def unload(self) -> None:
        """Give all memory of the model back; open requests end with EngineDeadError."""
        ...

    async def stop(self) -> None:
        """Unload for good; bounded in time, leaves no process behind."""
        ...
