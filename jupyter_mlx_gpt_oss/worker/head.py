"""Hidden rows to logits over candidate tokens."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import mlx.core as mx
import numpy as np
import numpy.typing as npt

_SEVERAL_ROWS = 3  # two take as long either way, and one takes longer
_FLOAT_BYTES = 4


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
    """The checkpoint's own head: every token is a candidate.

    On a CPU MLX multiplies a packed head with one row after the other, so that eight rows take eight times as long as one.
    Unpacked, and with the rows as columns, they take three to four times as long: so it is unpacked too.

    Args:
        model: mlx-lm's gpt_oss Model.
        max_unpacked_bytes: that this may take; 0: it stays packed alone.
    """

    def __init__(self, model: Any, *, max_unpacked_bytes: int = 0) -> None:
        self._lm_head = model.lm_head
        self._unpacked: mx.array | None = None
        """(V, H) float32."""
        if 0 < _unpacked_bytes(self._lm_head) <= max_unpacked_bytes:
            self._unpacked = _unpack(self._lm_head)

    def __call__(self, hidden: mx.array, contexts: Sequence[Sequence[int]]) -> Logits:
        """Score the rows' next tokens. See `Head`."""
        del contexts
        if self._unpacked is not None and hidden.shape[0] >= _SEVERAL_ROWS:
            return Logits((self._unpacked @ hidden.T).T, None)
        return Logits(self._lm_head(hidden), None)


def _unpacked_bytes(head: Any) -> int:
    if getattr(head, "mode", "") != "affine":
        return 0  # it is not packed, or in a way that has no biases
    num_codes: int = head.weight.size * 32 // head.bits
    return num_codes * _FLOAT_BYTES


def _unpack(head: Any) -> mx.array:
    scales, biases = head.scales.astype(mx.float32), head.biases.astype(mx.float32)
    weights = mx.dequantize(head.weight, scales, biases, group_size=head.group_size, bits=head.bits)
    mx.eval(weights)
    return weights
