"""Hidden rows to logits over candidate tokens."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import mlx.core as mx
import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class Logits:
    """What the rows of a step say of the candidate tokens."""

    values: mx.array
    """(B, C) float."""
    token_ids: npt.NDArray[np.int64] | None
    """(C,) ascending: the candidates; None: the whole vocabulary, C = V."""


class Head(Protocol):
    """The last layer of a model."""

    def __call__(self, hidden: mx.array, contexts: Sequence[Sequence[int]]) -> Logits:
        """Score the rows' next tokens.

        Args:
            hidden: (B, H), normalised.
            contexts: of every row, the token ids of its prompt.
        """
        ...


class FullHead:
    """The checkpoint's own head: every token is a candidate."""

    def __init__(self, model: Any) -> None:
        self._lm_head = model.lm_head

    def __call__(self, hidden: mx.array, contexts: Sequence[Sequence[int]]) -> Logits:
        """Score the rows' next tokens. See `Head`."""
        del contexts
        return Logits(self._lm_head(hidden), None)
