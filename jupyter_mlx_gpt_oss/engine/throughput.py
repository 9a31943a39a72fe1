"""Counts of tokens to a rate over the last seconds."""

from collections import deque
from collections.abc import Callable

_WINDOW_SECONDS = 5.0


class Throughput:
    """A sliding window of (time, tokens); owned by one event loop.

    Args:
        clock: seconds that only grow, such as time.monotonic.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._steps: deque[tuple[float, int]] = deque()

    def add(self, num_tokens: int) -> None:
        """Count tokens generated just now."""
        if num_tokens:
            self._steps.append((self._clock(), num_tokens))
            self._drop_old()

    def tokens_per_second(self) -> float:
        """Return the tokens of the last five seconds over the time they took; 0 when there were none."""
        self._drop_old()
        if len(self._steps) <= 1:
            return 0.0
        seconds = self._clock() - self._steps[0][0]
        return sum(tokens for _, tokens in self._steps) / max(seconds, 1e-3)

    def _drop_old(self) -> None:
        oldest = self._clock() - _WINDOW_SECONDS
        while self._steps and self._steps[0][0] < oldest:
            self._steps.popleft()
