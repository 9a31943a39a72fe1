"""Prompts that nobody asked for yet to the one to compute next, while there is nothing else to do.

Owned by the worker's main thread. Computes nothing; the caches are the loop's to fill.
"""

from collections import deque
from collections.abc import Callable

from jupyter_mlx_gpt_oss.engine.request import GenerationRequest
from jupyter_mlx_gpt_oss.worker.sequence import Sequence

_MAX_PROMPTS = 8


class ReadAhead:
    """The forms that the next turns of the last conversations will have; the one that spoke last comes first.

    Args:
        knows: whether nothing of a prompt needs to be computed any more.
    """

    def __init__(self, knows: Callable[[Sequence], bool]) -> None:
        self._knows = knows
        self._prompts: deque[tuple[int, ...]] = deque(maxlen=_MAX_PROMPTS)
        self._current: Sequence | None = None

    def __bool__(self) -> bool:
        return bool(self._prompts or self._current)

    def add(self, prompt_token_ids: tuple[int, ...]) -> None:
        """Put a prompt first."""
        self._prompts.append(prompt_token_ids)

    def stop(self) -> Sequence | None:
        """Return the prompt that is being read, if there is one; it is begun anew when nobody waits."""
        sequence, self._current = self._current, None
        if sequence is not None:
            self.add(sequence.request.prompt_token_ids)
        return sequence

    def take(self) -> Sequence | None:
        """Return what to go on with; None if everything is known meanwhile."""
        if self._current is not None:
            sequence, self._current = self._current, None
            return sequence
        while self._prompts:
            request = GenerationRequest(
                request_id="", prompt_token_ids=self._prompts.pop(), max_tokens=1, stop_token_ids=()
            )
            sequence = Sequence(request, max_tokens=0)
            if not self._knows(sequence):
                return sequence
        return None

    def put_back(self, sequence: Sequence) -> None:
        """Go on with a prompt that is not read whole."""
        self._current = sequence
