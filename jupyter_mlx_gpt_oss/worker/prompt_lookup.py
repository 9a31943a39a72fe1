"""What a sequence has said before to a guess of what it says next, and whether guessing pays.

Tool arguments, code edits and JSON repeat the prompt. The last tokens are looked up in the sequence itself, and what
followed them then is the draft; one step checks all of it. Where a grammar leaves no choice, what it forces is the draft.
Exact: a drafted token counts only if it is the one that is sampled at its position anyway.
"""

from dataclasses import dataclass, field

from jupyter_mlx_gpt_oss.worker.sequence import Sequence

_MATCH_TOKENS = 3  # looked up; shorter matches guess too often, longer ones too rarely
_MEMORY = 8  # drafts over which a measurement fades
_PAUSE_STEPS = 64  # without drafts, after they did not pay
_WORTH = 1.05  # tokens a second with drafts over those without, from which drafting is kept up


@dataclass(slots=True)
class _Index:
    """Where each run of _MATCH_TOKENS tokens of a sequence last ended."""

    num_tokens: int = 0
    ends: dict[tuple[int, ...], int] = field(default_factory=dict)


class PromptLookup:
    """Drafts for a sequence that decodes alone.

    Args:
        max_draft_tokens: of one step; 0: never drafts.
    """

    def __init__(self, max_draft_tokens: int) -> None:
        self._max_draft_tokens = max_draft_tokens
        # Not the sequence itself: it would live on with its caches after its end.
        self._request_id: str | None = None
        self._index = _Index()
        self._plain_seconds = 0.0
        self._gain = _WORTH
        self._pause = 0

    def draft(self, sequence: Sequence) -> list[int]:
        """Return tokens that may follow; none where nothing matches or drafting does not pay."""
        if not self._max_draft_tokens or sequence.request.num_logprobs is not None:
            return []
        if self._pause:
            self._pause -= 1
            return []
        if sequence.request.request_id != self._request_id:
            self._request_id, self._index = sequence.request.request_id, _Index()
        forced = [] if sequence.constraint is None else sequence.constraint.forced_token_ids()
        return forced[: self._room(sequence)] or self._look_up(sequence)

    def note_plain(self, seconds: float) -> None:
        """Learn from a step that computed one token."""
        self._plain_seconds += (seconds - self._plain_seconds) / (_MEMORY if self._plain_seconds else 1)

    def note_draft(self, num_tokens: int, seconds: float) -> None:
        """Learn from a step that checked a draft.

        Args:
            num_tokens: tokens that came of it, at least 1.
            seconds: that it took.
        """
        if not self._plain_seconds:
            return
        gain = num_tokens * self._plain_seconds / max(seconds, 1e-9)
        self._gain += (gain - self._gain) / _MEMORY
        if self._gain < 1.0:
            self._pause, self._gain = _PAUSE_STEPS, _WORTH

    def _look_up(self, sequence: Sequence) -> list[int]:
        tokens, index = sequence.token_ids, self._index
        # The run that ends with the last token is left out: it would match itself.
        for end in range(max(index.num_tokens, _MATCH_TOKENS), len(tokens)):
            index.ends[tuple(tokens[end - _MATCH_TOKENS : end])] = end
        index.num_tokens = len(tokens)
        start = index.ends.get(tuple(tokens[-_MATCH_TOKENS:]))
        return [] if start is None else tokens[start : start + self._room(sequence)]

    def _room(self, sequence: Sequence) -> int:
        """Return how many tokens may be guessed; the one behind them is drawn, and counts too."""
        return min(self._max_draft_tokens, max(0, sequence.max_tokens - sequence.num_output_tokens - 1))
