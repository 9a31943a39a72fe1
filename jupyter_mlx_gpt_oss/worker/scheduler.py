"""Which tokens of which sequences the next step computes. Decides and never computes; knows no MLX."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from jupyter_mlx_gpt_oss.worker.sequence import Sequence


@dataclass(frozen=True, slots=True)
class Chunk:
    """The next tokens of one sequence to compute."""

    sequence: Sequence
    num_tokens: int

    @property
    def is_last(self) -> bool:
        """Whether nothing is left to compute after it, so that a token can be sampled."""
        return self.num_tokens == self.sequence.num_uncomputed


class Scheduler:
    """Waiting and running sequences, first come first served.

    Every step takes one token of each sequence that decodes, and up to `max_prefill_tokens` prompt tokens of those
    that do not yet, the oldest first.
    """

    def __init__(self, *, max_running: int, max_prefill_tokens: int) -> None:
        self._max_running = max_running
        self._max_prefill_tokens = max_prefill_tokens
        self._waiting: deque[Sequence] = deque()
        self._running: list[Sequence] = []

    @property
    def waiting(self) -> Iterable[Sequence]:
        """Sequences that wait, the next one first."""
        return tuple(self._waiting)

    @property
    def running(self) -> Iterable[Sequence]:
        """Sequences that are being computed."""
        return tuple(self._running)

    @property
    def num_waiting(self) -> int:
        """How many wait."""
        return len(self._waiting)

    @property
    def num_running(self) -> int:
        """How many are being computed."""
        return len(self._running)

    def add(self, sequence: Sequence) -> None:
        """Put a sequence at the end of the queue."""
        self._waiting.append(sequence)

    def remove(self, request_id: str) -> Sequence | None:
        """Take a sequence out, wherever it is; None if it is not here."""
        for group in (self._running, self._waiting):
            for sequence in group:
                if sequence.request.request_id == request_id:
                    group.remove(sequence)
                    return sequence
        return None

    def admit(self) -> list[Sequence]:
        """Move sequences from the queue to those that run, as many as may; return them."""
        admitted = []
        while self._waiting and len(self._running) < self._max_running:
            admitted.append(self._waiting.popleft())
            self._running.append(admitted[-1])
        return admitted

    def plan(self) -> list[Chunk]:
        """Return the next step of the running sequences; empty when none runs."""
        budget = self._max_prefill_tokens
        chunks = []
        for sequence in self._running:
            if sequence.num_output_tokens:
                chunks.append(Chunk(sequence, sequence.num_uncomputed))
            elif budget:
                num_tokens = min(budget, sequence.num_next)
                budget -= num_tokens
                chunks.append(Chunk(sequence, num_tokens))
        return chunks
