"""Times of past steps to the number of prompt tokens that the next step may compute.

While answers are being written, a prompt is read in chunks so small that no answer waits longer than a bound for its
next token, wherever a step with two tokens of prompts keeps that bound. Where none does, prompts and answers take turns of
about a second: a larger chunk costs less for each token. When nobody waits, chunks are as large as pays. Measured on the
machine it runs on, never assumed.
"""

from collections import deque

_FIRST_TOKENS = 64  # the size of the first chunk, which is the first measurement
_AHEAD_SECONDS = 0.03  # a request that comes meanwhile waits so long, and nobody notices
_MEMORY = 4  # steps over which a measurement fades
_LEAST_TOKENS = 2  # one of the oldest prompt, and one of the shortest
_WORTHWHILE_TOKENS = (
    128  # of a chunk that no bound makes smaller: with fewer, reading all experts is most of its time
)
_MOST_STEPS = 20  # of the usual length that such a chunk may take, on a machine too slow for it
_NUM_SURPRISES = 128  # steps after which one that took longer than was expected is forgotten
_LEAST_SURPRISE = 1.4  # times what was expected: so long a step may take on a quiet machine
_LEAST_SHARE = 0.5  # of what answers leave of the bound


class Pace:
    """Seconds of decode steps and of prompt tokens.

    Args:
        max_tokens: of one chunk, however fast the machine is.
        max_gap_seconds: between the tokens of a running answer.
        max_step_seconds: of a step when no answer is being written, if it pays; bounds how late an abort or a new request is
            seen.
    """

    def __init__(self, *, max_tokens: int, max_gap_seconds: float, max_step_seconds: float = 1.0) -> None:
        self._max_tokens = max_tokens
        self._max_gap_seconds = max_gap_seconds
        self._max_step_seconds = max_step_seconds
        self._decode_seconds: dict[int, float] = {}
        """Of a step without a prompt, by how many sequences decode in it."""
        self._token_seconds: float | None = None
        self._num_allowed = 0
        self._surprises: deque[float] = deque(maxlen=_NUM_SURPRISES)
        """How many times what was expected the last steps took in which answers waited for a prompt."""
        self._is_turn = False
        """Whether prompts have a turn, which answers have after them for as long."""
        self._owed_seconds = 0.0

    def note(self, *, num_prefill_tokens: int, num_decoding: int, seconds: float) -> None:
        """Learn from a step."""
        if not num_prefill_tokens:
            before = self._decode_seconds.get(num_decoding, seconds)
            self._decode_seconds[num_decoding] = before + (seconds - before) / _MEMORY
            self._owed_seconds = max(0.0, self._owed_seconds - seconds)
            return
        decode_seconds = self._decoding(num_decoding)
        prefill_seconds = seconds - min(decode_seconds, seconds)
        self._owed_seconds = prefill_seconds if self._is_turn else 0.0
        measured = prefill_seconds / num_prefill_tokens
        known = self._token_seconds
        is_whole = num_prefill_tokens >= self._num_allowed // 2
        if known is None:
            self._token_seconds = measured
            return
        if is_whole and num_decoding:
            expected = decode_seconds + known * num_prefill_tokens
            self._surprises.append(seconds / max(expected, 1e-9))
        if measured <= known:  # it may be luck
            self._token_seconds = known + (measured - known) / _MEMORY
        elif is_whole:
            # Of a smaller chunk most would be what a step costs without any token.
            self._token_seconds = measured

    def prefill_tokens(self, num_decoding: int) -> int:
        """Return how many prompt tokens the next step may compute beside the sequences that decode."""
        if num_decoding and self._owed_seconds:
            return 0
        decode_seconds = self._decoding(num_decoding)
        left = self._max_gap_seconds - decode_seconds
        token_seconds = self._token_seconds or 0.0
        # The bound cannot be kept, whatever is read: without a turn of their own prompts would hardly move.
        self._is_turn = num_decoding > 0 and left < _LEAST_TOKENS * token_seconds
        if num_decoding and not self._is_turn:
            aim = self._max_gap_seconds / max([_LEAST_SURPRISE, *self._surprises])
            return self._affordable(max(aim - decode_seconds, _LEAST_SHARE * left))
        worthwhile = min(_WORTHWHILE_TOKENS * token_seconds, _MOST_STEPS * self._max_step_seconds)
        return self._affordable(max(self._max_step_seconds, decode_seconds, worthwhile))

    def ahead_tokens(self) -> int:
        """Return how many tokens may be read that nobody has asked for: a request that comes meanwhile waits for them."""
        return self._affordable(_AHEAD_SECONDS)

    def _affordable(self, seconds: float) -> int:
        num_tokens = _FIRST_TOKENS
        if self._token_seconds is not None:
            num_tokens = max(_LEAST_TOKENS, round(seconds / max(self._token_seconds, 1e-9)))
        self._num_allowed = min(self._max_tokens, num_tokens)
        return self._num_allowed

    def _decoding(self, num_decoding: int) -> float:
        """Return how long a step of so many takes; of a number never measured, in proportion to the nearest that was."""
        if not self._decode_seconds:
            return num_decoding * (self._token_seconds or 0.0)
        nearest = min(self._decode_seconds, key=lambda number: abs(number - num_decoding))
        return self._decode_seconds[nearest] * num_decoding / nearest
