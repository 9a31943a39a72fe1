"""Times of past steps to the number of prompt tokens that the next step may compute.

While answers are being written, a prompt is read in chunks so small that no answer waits longer than a bound for its
next token, wherever a step without a prompt keeps that bound; when nobody waits, in chunks as large as pays. Measured on
the machine it runs on, never assumed.
"""

_FIRST_TOKENS = 64  # the size of the first chunk, which is the first measurement
_LEAST_TOKENS = 8
_AHEAD_SECONDS = 0.03  # a request that comes meanwhile waits so long, and nobody notices
_MEMORY = 4  # steps over which a measurement fades
_AIM = 0.85  # of the bound: a step is as long as was expected, give or take


class Pace:
    """Seconds of decode steps and of prompt tokens.

    Args:
        max_tokens: of one chunk, however fast the machine is.
        max_gap_seconds: between the tokens of a running answer.
        max_step_seconds: of a step when no answer is being written; bounds how late an abort or a new request is seen.
    """

    def __init__(self, *, max_tokens: int, max_gap_seconds: float, max_step_seconds: float = 1.0) -> None:
        self._max_tokens = max_tokens
        self._max_gap_seconds = max_gap_seconds
        self._max_step_seconds = max_step_seconds
        self._decode_seconds = 0.0
        self._token_seconds: float | None = None

    def note(self, *, num_prefill_tokens: int, num_decoding: int, seconds: float) -> None:
        """Learn from a step."""
        if not num_prefill_tokens:
            known_seconds = self._decode_seconds or seconds
            self._decode_seconds = known_seconds + (seconds - known_seconds) / _MEMORY
            return
        decode_seconds = min(self._decode_seconds, seconds) if num_decoding else 0.0
        measured = (seconds - decode_seconds) / num_prefill_tokens
        known = self._token_seconds
        # A first measurement, and a slower one, count at once; a faster one may be luck.
        is_slower = known is None or measured > known
        self._token_seconds = measured if is_slower or known is None else known + (measured - known) / _MEMORY

    def prefill_tokens(self, num_decoding: int) -> int:
        """Return how many prompt tokens the next step may compute beside the sequences that decode."""
        return self._affordable(self._prefill_seconds(num_decoding))

    def ahead_tokens(self) -> int:
        """Return how many tokens may be read that nobody has asked for: a request that comes meanwhile waits for them."""
        return self._affordable(_AHEAD_SECONDS)

    def _affordable(self, seconds: float) -> int:
        if self._token_seconds is None:
            return min(_FIRST_TOKENS, self._max_tokens)
        return min(self._max_tokens, max(_LEAST_TOKENS, int(seconds / max(self._token_seconds, 1e-9))))

    def _prefill_seconds(self, num_decoding: int) -> float:
        """Return for how long the next step may read prompts."""
        if not num_decoding:
            return self._max_step_seconds
        if self._decode_seconds >= self._max_gap_seconds:
            # The bound cannot be kept here, whatever is read: prompts get half of a step, or they would hardly move.
            return self._decode_seconds
        return max(0.0, _AIM * self._max_gap_seconds - self._decode_seconds)
