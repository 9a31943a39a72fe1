"""Which tokens of which sequences the next step computes. Decides and never computes; knows no MLX."""

from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import takewhile

from jupyter_mlx_gpt_oss.worker.sequence import Sequence

_OLDEST_SHARE = 4  # one part of so many of the prefill budget goes to the oldest prompt, however long it is


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
    """Waiting and running sequences.

    Every step takes one token of each sequence that decodes. What prompt tokens fit beside them go to the oldest prompt in
    part, and else to the prompt with the least left, so that a short request is not held up behind a long one.
    Callers take turns where requests wait, so that one with many holds up nobody else.
    """

    def __init__(self, *, max_running: int) -> None:
        self._max_running = max_running
        self._waiting: deque[Sequence] = deque()
        self._running: list[Sequence] = []
        self._num_admitted = 0
        self._last_turns: dict[str, int] = {}
        """For each caller with sequences here, when it was last its turn."""

    @property
    def waiting(self) -> Iterable[Sequence]:
        """Sequences that wait, the next one first."""
        return tuple(self._waiting)

    @property
    def running(self) -> Iterable[Sequence]:
        """Sequences that are being computed, the oldest first."""
        return tuple(self._running)

    @property
    def num_waiting(self) -> int:
        """How many wait."""
        return len(self._waiting)

    @property
    def num_running(self) -> int:
        """How many are being computed."""
        return len(self._running)

    @property
    def can_admit(self) -> bool:
        """Whether there is a place for one that waits."""
        return bool(self._waiting) and len(self._running) < self._max_running

    @property
    def num_decoding(self) -> int:
        """How many have their prompt behind them."""
        return sum(sequence.is_decoding for sequence in self._running)

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

    def admit(
        self,
        may_run: Callable[[Sequence], bool],
        fits: Callable[[Sequence, Iterable[Sequence]], bool] = lambda *_: True,
    ) -> list[Sequence]:
        """Move sequences from the queue to those that run; return them.

        Args:
            may_run: whether a sequence can start now; one that cannot keeps its place, and lets others pass.
            fits: whether there is memory for a sequence beside those that run. A caller's first one for which there is none
                lets a few later ones pass, and then nobody, so that smaller ones cannot keep it out for ever.
        """
        admitted: list[Sequence] = []
        if not self.can_admit:  # the usual step: nothing is sorted
            return admitted
        for sequence in sorted(self._in_turn(), key=lambda sequence: not sequence.is_passed_enough):
            if len(self._running) >= self._max_running:
                break
            if not fits(sequence, self._running):
                if sequence.is_passed_enough:
                    break
            elif may_run(sequence):
                passed = self._pass(sequence, fits)
                self._start(sequence)
                admitted.append(sequence)
                if any(large.is_passed_enough for large in passed):
                    break
        return admitted

    def _pass(
        self, sequence: Sequence, fits: Callable[[Sequence, Iterable[Sequence]], bool]
    ) -> list[Sequence]:
        """Count, and return, those that a sequence passes: each caller's first that came before it and does not fit."""
        firsts: dict[str, Sequence] = {}
        for waiting in takewhile(lambda waiting: waiting is not sequence, self._waiting):
            firsts.setdefault(waiting.request.caller, waiting)
        passed = [first for first in firsts.values() if not fits(first, self._running)]
        for first in passed:
            first.num_passed += 1
        return passed

    def _start(self, sequence: Sequence) -> None:
        self._waiting.remove(sequence)
        self._running.append(sequence)
        self._num_admitted += 1
        self._last_turns[sequence.request.caller] = self._num_admitted

    def _in_turn(self) -> list[Sequence]:
        """Return what waits: callers with the fewest sequences here first, then those whose last turn is longest ago."""
        num_ahead = Counter(sequence.request.caller for sequence in self._running)
        places = []
        for index, sequence in enumerate(self._waiting):
            caller = sequence.request.caller
            places.append((num_ahead[caller], self._last_turns.get(caller, 0), index, sequence))
            num_ahead[caller] += 1
        self._last_turns = {caller: turn for caller, turn in self._last_turns.items() if caller in num_ahead}
        return [sequence for *_, sequence in sorted(places, key=lambda place: place[:3])]

    def plan(self, max_prefill_tokens: int) -> list[Chunk]:
        """Return the next step of the running sequences; empty when none runs.

        Args:
            max_prefill_tokens: prompt tokens in the step, at most; 0 where answers have their turn.
        """
        prefilling = [sequence for sequence in self._running if not sequence.is_decoding]
        sizes = _share(prefilling, max_prefill_tokens)
        return [
            Chunk(sequence, 1 if sequence.is_decoding else sizes[sequence])
            for sequence in self._running
            if sequence.is_decoding or sizes[sequence]
        ]


def _share(prefilling: list[Sequence], budget: int) -> dict[Sequence, int]:
    """Return how many prompt tokens of each sequence fit into the budget."""
    sizes = dict.fromkeys(prefilling, 0)
    if prefilling and budget:
        sizes[prefilling[0]] = min(prefilling[0].num_next, max(1, budget // _OLDEST_SHARE))
    left = budget - sum(sizes.values())
    for sequence in sorted(prefilling, key=lambda sequence: sequence.num_next):
        more = min(left, sequence.num_next - sizes[sequence])
        sizes[sequence] += more
        left -= more
    return sizes
