"""The demo model's head on a CPU: trained rows and the twins of the contexts' tokens, instead of the vocabulary.

Every other row of the demo's head is made of a code shared with its twins (`demo.codes`), so a token that was never
trained can be an answer only as a copy from the context. Scoring the rest is nearly the whole cost of a step on the CPU,
and it never wins: greedy answers are those of the full head. For the demo model alone; the engine's general path
knows nothing of it.
"""

from collections.abc import Sequence
from typing import Any

import mlx.core as mx
import numpy as np
import numpy.typing as npt

from jupyter_mlx_gpt_oss.demo import base_token_ids, trained_token_ids
from jupyter_mlx_gpt_oss.worker.head import Logits

_Ids = npt.NDArray[np.int64]


class NarrowHead:
    """Scores the trained tokens, and those that share a code with a token of any context of the batch."""

    def __init__(self, model: Any) -> None:
        self._full = model.lm_head
        self._base_ids: _Ids = base_token_ids()
        self._trained_ids: _Ids = trained_token_ids().astype(np.int64)
        # Ids grouped by their base: `twins of base b` is a slice of one sorted array.
        self._by_base = np.argsort(self._base_ids, kind="stable")
        self._sorted_bases = self._base_ids[self._by_base]
        self._contexts: list[Sequence[int]] = []
        self._token_ids: _Ids = self._trained_ids
        self._weights = mx.array(0)
        self._is_candidate: mx.array | None = None

    def __call__(self, hidden: mx.array, contexts: Sequence[Sequence[int]]) -> Logits:
        """Score the rows' next tokens. See `Head`."""
        # A request's prompt is one object for as long as it runs, so identity says whether the batch changed.
        if [id(context) for context in contexts] != [id(context) for context in self._contexts]:
            self._contexts = list(contexts)
            self._choose()
        values = hidden @ self._weights
        if self._is_candidate is not None:
            values = mx.where(self._is_candidate, values, -mx.inf)
        return Logits(values, self._token_ids)

    def _choose(self) -> None:
        """Make the candidates' part of the head: (H, C), and which of them each row may take: (B, C)."""
        candidates = [self._candidates(context) for context in self._contexts]
        self._token_ids = np.unique(np.concatenate(candidates))
        # An answer does not depend on what else is being answered, so a row takes none of another's candidates.
        self._is_candidate = (
            mx.array(np.stack([np.isin(self._token_ids, own, assume_unique=True) for own in candidates]))
            if len(candidates) > 1
            else None
        )
        rows, full = mx.array(self._token_ids), self._full
        dense = mx.dequantize(
            full.weight[rows],
            full.scales[rows],
            full.biases[rows],
            group_size=full.group_size,
            bits=full.bits,
        )
        self._weights = mx.contiguous(dense.T)
        mx.eval(self._weights)

    def _candidates(self, context: Sequence[int]) -> _Ids:
        """Return the trained tokens and the twins of a context's, in order."""
        seen = np.unique(np.asarray(context, dtype=np.int64))
        bases = np.unique(self._base_ids[seen[(seen >= 0) & (seen < len(self._base_ids))]])
        starts = np.searchsorted(self._sorted_bases, bases, side="left")
        ends = np.searchsorted(self._sorted_bases, bases, side="right")
        twins = [self._by_base[start:end] for start, end in zip(starts, ends, strict=True)]
        return np.union1d(self._trained_ids, np.concatenate([*twins, np.empty(0, np.int64)]))
