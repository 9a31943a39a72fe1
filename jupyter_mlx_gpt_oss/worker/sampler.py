"""Logits of a batch to one token for each row, every row by its own parameters, in one graph.

Randomness is a function of (seed, position in the answer, token id) alone: a hash, not a generator with state. So the
same request draws the same tokens alone or beside others, over all candidates or a part of them, and after a restart.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import mlx.core as mx
import numpy as np
import numpy.typing as npt

from jupyter_mlx_gpt_oss.engine.sampling import SamplingParams
from jupyter_mlx_gpt_oss.worker.head import Logits

_Ids = npt.NDArray[np.int64]
_Amounts = npt.NDArray[np.float64]
_BISECTIONS = 26  # a float32 mantissa and two more
_BELOW_ONE = 1 - 2.0**-24  # the largest such float32


@dataclass(frozen=True, slots=True)
class SamplingRow:
    """What one row of the batch samples by."""

    sampling: SamplingParams
    position: int
    """Tokens generated so far."""
    output_counts: Mapping[int, int] = field(default_factory=dict)
    """How often each is among them; needed for presence and frequency penalties alone."""
    recent_token_ids: Sequence[int] = ()
    """The last repetition_context_size tokens, prompt included; needed for the repetition penalty alone."""


def sample(logits: Logits, rows: Sequence[SamplingRow]) -> mx.array:
    """Draw one token for each row.

    Returns:
        (B,) int32 token ids. Lazy.
    """
    values = _penalise(logits, rows)
    if any(row.sampling.temperature > 0 for row in rows):
        values = _perturb(values, logits, rows)
    winners = mx.argmax(values, axis=-1)
    if logits.token_ids is None:
        return winners.astype(mx.int32)
    return mx.array(logits.token_ids)[winners].astype(mx.int32)


def _perturb(values: mx.array, logits: Logits, rows: Sequence[SamplingRow]) -> mx.array:
    """Add Gumbel noise to the rows that draw at random, so that their argmax is a draw from softmax(values / T)."""
    temperature = _column([row.sampling.temperature for row in rows])
    is_random = temperature > 0
    scaled = values.astype(mx.float32) / mx.where(is_random, temperature, 1.0)
    if any(row.sampling.top_p < 1 or row.sampling.min_p > 0 for row in rows):
        scaled = _keep_likely(scaled, rows)
    ids = mx.arange(values.shape[-1]) if logits.token_ids is None else mx.array(logits.token_ids)
    return mx.where(is_random, scaled + _gumbel(ids.astype(mx.uint32), rows), values.astype(mx.float32))


def _keep_likely(scaled: mx.array, rows: Sequence[SamplingRow]) -> mx.array:
    """Set to -inf what top_p and min_p leave out; the most likely token always stays."""
    probabilities = mx.softmax(scaled, axis=-1)
    highest = probabilities.max(axis=-1, keepdims=True)
    threshold = _column([row.sampling.min_p for row in rows]) * highest
    if any(row.sampling.top_p < 1 for row in rows):
        top_p = _column([row.sampling.top_p for row in rows])
        low, high = mx.zeros_like(highest), highest
        # The nucleus is {p >= t} for the largest t that keeps top_p of the mass; bisecting t needs no sort of V.
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            mass = mx.where(probabilities >= middle, probabilities, 0.0).sum(axis=-1, keepdims=True)
            is_enough = mass >= top_p
            low, high = mx.where(is_enough, middle, low), mx.where(is_enough, high, middle)
        threshold = mx.maximum(threshold, mx.where(top_p < 1, low, 0.0))
    return mx.where(probabilities >= mx.minimum(threshold, highest), scaled, -mx.inf)


def _gumbel(ids: mx.array, rows: Sequence[SamplingRow]) -> mx.array:
    """(B, C) Gumbel noise, a hash of each row's seed and position and of the candidate's id."""
    keys = np.array([_keys(row.sampling.seed or 0, row.position) for row in rows], dtype=np.uint32)
    bits = _mix(ids[None] * 0x9E3779B1 + mx.array(keys[:, :1]))
    bits = _mix(bits + mx.array(keys[:, 1:]))
    # The largest bits round to 1 in float32, and that noise would rule out even the only candidate left.
    uniform = mx.minimum((bits.astype(mx.float32) + 0.5) * 2.0**-32, _BELOW_ONE)
    # Winners have a small exponential: near 0 a float32 has the resolution that it lacks near 1.
    return -mx.log(-mx.log1p(-uniform))


def _mix(x: mx.array) -> mx.array:
    """MurmurHash3's 32-bit finaliser."""
    x = (x ^ (x >> 16)) * 0x85EBCA6B
    x = (x ^ (x >> 13)) * 0xC2B2AE35
    return x ^ (x >> 16)


def _keys(seed: int, position: int) -> tuple[int, int]:
    digest = hashlib.blake2b(f"{seed}:{position}".encode(), digest_size=8).digest()
    return int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:], "little")


def _penalise(logits: Logits, rows: Sequence[SamplingRow]) -> mx.array:
    """Apply logit_bias and the penalties of all rows: one scatter for what is divided, one for what is added.

    In float32 where there are any: a small penalty would be nothing beside a large logit of 16 bits.
    """
    divided, added = _Places(logits), _Places(logits)
    for index, row in enumerate(rows):
        sampling = row.sampling
        if sampling.repetition_penalty != 1.0:
            recent = np.unique(np.asarray(row.recent_token_ids, dtype=np.int64))
            divided.put(index, recent, np.full(len(recent), sampling.repetition_penalty))
        if sampling.logit_bias:
            added.put(index, *_arrays(sampling.logit_bias))
        if sampling.presence_penalty or sampling.frequency_penalty:
            token_ids, counts = _arrays(row.output_counts)
            added.put(index, token_ids, -sampling.presence_penalty - counts * sampling.frequency_penalty)
    if not (divided or added):
        return logits.values
    values = logits.values.astype(mx.float32)
    if divided:
        by = divided.amounts
        values = values.at[divided.places].multiply(mx.where(values[divided.places] > 0, 1 / by, by))
    return values.at[added.places].add(added.amounts) if added else values


def _arrays(of_tokens: Mapping[int, float]) -> tuple[_Ids, _Amounts]:
    """Return the token ids, and what belongs to each."""
    count = len(of_tokens)
    return np.fromiter(of_tokens, np.int64, count), np.fromiter(of_tokens.values(), np.float64, count)


class _Places:
    """Entries of a sparse (B, C) matrix."""

    def __init__(self, logits: Logits) -> None:
        self._token_ids = logits.token_ids
        self._num_candidates = logits.values.shape[-1]
        self._entries: list[tuple[_Ids, _Ids, _Amounts]] = []

    def __bool__(self) -> bool:
        return any(len(rows) for rows, *_ in self._entries)

    @property
    def places(self) -> tuple[mx.array, mx.array]:
        """Rows and columns."""
        rows, columns = (np.concatenate([entry[axis] for entry in self._entries]) for axis in (0, 1))
        return mx.array(rows.astype(np.int32)), mx.array(columns.astype(np.int32))

    @property
    def amounts(self) -> mx.array:
        """(entries,) float32."""
        return mx.array(np.concatenate([amounts for *_, amounts in self._entries]).astype(np.float32))

    def put(self, row: int, token_ids: _Ids, amounts: _Amounts) -> None:
        """Add entries of a row, but for tokens that are no candidates."""
        columns, known = token_ids, self._token_ids
        if known is not None:
            columns = np.searchsorted(known, token_ids)
        is_candidate = (columns >= 0) & (columns < self._num_candidates)
        if known is not None:
            is_candidate[is_candidate] = known[columns[is_candidate]] == token_ids[is_candidate]
        columns = columns[is_candidate]
        self._entries.append((np.full(len(columns), row), columns, amounts[is_candidate]))


def _column(numbers: list[float]) -> mx.array:
    return mx.array(numbers, dtype=mx.float32)[:, None]
