"""The memory that is free once the weights are loaded, shared out between running sequences and the prefix cache."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import mlx.core as mx
import psutil

from jupyter_mlx_gpt_oss.worker import container
from jupyter_mlx_gpt_oss.worker.sequence import Sequence

_log = logging.getLogger(__name__)
_PREFIX_CACHE_SHARE = 4  # one part of so many
_RUNNING_SHARE = 4  # one part of so many at the least, however much the prefix cache is given
# The last: malloc, bad_alloc, unable to allocate.
_OUT_OF_MEMORY = ("out of memory", "outofmemory", "insufficient memory", "alloc")
_OUTPUT_TOKENS = (
    2_048  # of an answer, as far as it is projected; most end sooner, and few are asked for a limit
)


@dataclass(frozen=True, slots=True)
class MemoryBudget:
    """What keys and values may take. Bytes."""

    prefix_cache_bytes: int
    running_bytes: int
    """Of all running sequences together."""
    bytes_per_token: int
    """Of the full-attention layers; the sliding layers' share does not grow."""
    window_bytes: int = 0
    """Of the sliding layers of one sequence, at most."""

    @classmethod
    def measure(cls, model: Any, prefix_cache_bytes: int | None) -> "MemoryBudget":
        """Share out what is free now.

        Args:
            model: mlx-lm's gpt_oss Model, loaded.
            prefix_cache_bytes: as configured; None: a quarter of what is free.
        """
        free = free_bytes()
        kept = free // _PREFIX_CACHE_SHARE
        if prefix_cache_bytes is not None:
            kept = min(prefix_cache_bytes, free - free // _RUNNING_SHARE)
            if kept < prefix_cache_bytes:
                _log.warning(
                    "the prefix cache has %d bytes and not the %d of its option: %d are free, and answers need some",
                    kept,
                    prefix_cache_bytes,
                    free,
                )
        arguments = model.args
        num_full = model.model.layer_types.count("full_attention")
        entry_bytes = model.model.norm.weight.itemsize
        num_heads = model.model.layers[
            0
        ].self_attn.num_key_value_heads  # this rank's, where several share the model
        per_layer = 2 * num_heads * arguments.head_dim * entry_bytes
        num_sliding = len(model.model.layer_types) - num_full
        window = num_sliding * per_layer * arguments.sliding_window
        return cls(kept, free - kept, num_full * per_layer, window)

    def fits(self, sequence: Sequence, running: Iterable[Sequence]) -> bool:
        """Whether a sequence can run beside others; alone, whether its prompt can run at all."""
        others = sum(self._projected(other) for other in running)
        needed = self._projected(sequence) if others else len(sequence.token_ids) * self.bytes_per_token
        return others + needed <= self.running_bytes

    def can_keep(self, num_tokens: int) -> bool:
        """Whether the prefix cache has room for a prompt of so many tokens, if it holds nothing else."""
        return num_tokens * self.bytes_per_token + self.window_bytes <= self.prefix_cache_bytes

    def live_bytes(self, running: Iterable[Sequence]) -> int:
        """Return what the keys and values of running sequences take."""
        return sum(each.num_computed * self.bytes_per_token + self.window_bytes for each in running)

    def refusal(self, sequence: Sequence) -> str:
        """Say, with both numbers, why a sequence cannot run."""
        needed = len(sequence.token_ids) * self.bytes_per_token
        other = "load a smaller model" if has_working_set() else "close other programs"
        return (
            f"The prompt needs {needed / 1e9:.1f} GB for its keys and values, and {self.running_bytes / 1e9:.1f} GB are "
            f"left beside the model. Shorten the messages, or {other}."
        )

    def _projected(self, sequence: Sequence) -> int:
        num_tokens = sequence.num_prompt_tokens + min(sequence.max_tokens, _OUTPUT_TOKENS)
        return max(num_tokens, len(sequence.token_ids)) * self.bytes_per_token


def is_out_of_memory(error: Exception) -> bool:
    """Tell whether an error says that there is no memory left; MLX has no type of its own for it."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or any(words in text for words in _OUT_OF_MEMORY)


def has_working_set() -> bool:
    """Whether the device may use a fixed part of this machine's memory, whatever other programs take: Apple's do."""
    return mx.default_device() == mx.gpu and bool(mx.device_info().get("max_recommended_working_set_size"))


def free_bytes() -> int:
    """Return how much memory the device can still give: of the machine, or of the container this runs in."""
    host = psutil.virtual_memory().available
    if (limited := container.free_bytes()) is not None:
        host = min(host, limited)
    if mx.default_device() != mx.gpu:
        return host
    return usable_bytes(mx.device_info(), mx.get_active_memory(), host)


def usable_bytes(info: Mapping[str, str | int], active_bytes: int, host_bytes: int) -> int:
    """Return how much memory a GPU can still give.

    Args:
        info: as mx.device_info() has it: Metal tells the largest working set, CUDA what is free now.
        active_bytes: in use by MLX.
        host_bytes: free in the machine; counts where the device tells nothing.
    """
    if working_set := int(info.get("max_recommended_working_set_size", 0)):
        return max(0, working_set - active_bytes)
    return int(info.get("free_memory", host_bytes))
