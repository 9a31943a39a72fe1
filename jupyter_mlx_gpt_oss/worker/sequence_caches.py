"""Sequences to filled caches, and what they computed back into the prefix cache.

Owned by the worker's main thread.
"""

from typing import Any

from jupyter_mlx_gpt_oss.worker.kv_span import LayerKinds, end_replay, rewind, take_snapshot
from jupyter_mlx_gpt_oss.worker.model_step import make_caches
from jupyter_mlx_gpt_oss.worker.prefix_cache import PrefixCache, Stretch, num_shared
from jupyter_mlx_gpt_oss.worker.scheduler import Chunk
from jupyter_mlx_gpt_oss.worker.sequence import Sequence

_WORTH_WAITING_TOKENS = 32  # fewer are computed sooner than another sequence has them


class SequenceCaches:
    """The caches of running sequences, over one prefix cache.

    Args:
        model: mlx-lm's gpt_oss Model.
        max_prefix_bytes: of the prefix cache.
    """

    def __init__(self, model: Any, max_prefix_bytes: int) -> None:
        self._model = model
        self._kinds = LayerKinds.of(model)
        self.prefix_cache = PrefixCache(self._kinds, lambda: make_caches(model), max_prefix_bytes)

    def begin(self, sequence: Sequence) -> None:
        """Give a sequence caches that hold what is known of it."""
        is_retried = bool(sequence.caches)  # and then finds what it has computed itself
        resume = self.prefix_cache.resume(sequence.token_ids)
        sequence.caches = resume.caches
        sequence.num_computed = resume.num_tokens - resume.num_replayed
        if not is_retried:
            sequence.num_cached_tokens = min(sequence.num_computed, sequence.num_prompt_tokens)
        sequence.replay_end = resume.num_tokens if resume.num_replayed else 0

    def book(self, chunk: Chunk) -> None:
        """Count what a chunk has computed, and keep what later prompts may go on from."""
        sequence, start = chunk.sequence, chunk.sequence.num_computed
        end = sequence.num_computed = start + chunk.num_tokens
        if end <= sequence.replay_end:
            if end == sequence.replay_end:
                sequence.caches = end_replay(make_caches(self._model), sequence.caches, self._kinds, end)
            return
        if start >= sequence.num_prompt_tokens:
            return
        for position in _snapshot_positions(sequence):
            if start < position <= end and (
                snapshot := take_snapshot(sequence.caches, self._kinds, position)
            ):
                sequence.snapshots[position] = snapshot
        if end == sequence.num_prompt_tokens:
            self.prefix_cache.keep(
                sequence.token_ids[:end],
                sequence.caches,
                sequence.snapshots,
                Stretch.READ_AHEAD if sequence.is_read_ahead else Stretch.PROMPT,
            )

    def rewind(self, sequence: Sequence, num_tokens: int) -> None:
        """Take back the last tokens of the chunk that was just computed and is not booked yet."""
        if num_tokens:
            rewind(sequence.caches, self._kinds, num_tokens)

    def keep(self, sequence: Sequence) -> None:
        """Keep what was computed of a sequence that ends; its last token, the stop token, was not."""
        self._keep_from(sequence, sequence.num_computed)

    def _keep_from(self, sequence: Sequence, position: int) -> None:
        """Keep what is computed, such that others can go on from a position, if it is not long past."""
        if not sequence.caches or sequence.num_computed <= sequence.replay_end:
            return
        if snapshot := take_snapshot(sequence.caches, self._kinds, position):
            sequence.snapshots[position] = snapshot
        stretch = Stretch.ANSWER if sequence.is_decoding else Stretch.PROMPT
        self.prefix_cache.keep(
            sequence.token_ids[: sequence.num_computed], sequence.caches, sequence.snapshots, stretch
        )

    def knows(self, sequence: Sequence) -> bool:
        """Whether a prompt that goes on from this sequence's needs nothing computed of it."""
        return self.prefix_cache.has_snapshot_at_end(sequence.prompt_ids)

    def is_worth_waiting_for(self, running: Sequence, waiting: Sequence) -> bool:
        """Whether a running sequence is about to have so much of a waiting one's prompt that waiting for it pays.

        Once it has read what the two share, that is kept, and there is nothing more to wait for.
        """
        if running.is_decoding or not self.prefix_cache.keeps_anything:
            return False
        shared = num_shared(running.prompt_ids, waiting.prompt_ids)
        if shared - self.prefix_cache.num_known(waiting.prompt_ids[:shared]) < _WORTH_WAITING_TOKENS:
            return False
        if running.num_computed < shared:
            return True
        self._keep_from(running, shared)
        return False


def _snapshot_positions(sequence: Sequence) -> set[int]:
    """Return where another prompt is likely to branch off: behind the system messages, the last turns, the prompt.

    One token before the prompt's end serves a prompt that goes on, and the same prompt once more. What is read ahead
    ends where the next message begins, and is never asked for as it is.
    """
    if sequence.is_read_ahead:
        return {sequence.num_prompt_tokens}
    boundaries = sequence.request.boundaries
    return {*boundaries[:2], *boundaries[-2:], sequence.num_prompt_tokens - 1}
