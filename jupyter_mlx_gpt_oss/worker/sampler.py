"""Logits of a batch to one token for each row, every row by its own parameters, in one graph.

Randomness is a function of (seed, position in the answer, token id) alone: a hash, not a generator with state. So the
same request draws the same tokens alone or beside others, over all candidates or a part of them, and after a restart.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import mlx.core as mx
import numpy as np

from jupyter_mlx_gpt_oss.engine.sampling import SamplingParams
from jupyter_mlx_gpt_oss.worker.head import Logits

_BISECTIONS = 26  # a float32 mantissa and two more
_BELOW_ONE = 1 - 2.0**-24  # the largest such float32


@dataclass(frozen=True, slots=True)
class SamplingRow:
    """What one row of the batch samples by."""

    sampling: SamplingParams
    position: int
    """Tokens generated so far."""
    output_token_ids: Sequence[int] = ()
    """Them; needed for presence and frequency penalties alone."""
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
    """Apply logit_bias and the penalties of all rows: one scatter for what is divided, one for what is added."""
    values = logits.values
    divided = _Places(logits)
    added = _Places(logits)
    for index, row in enumerate(rows):
        for token_id, divisor in _divisors(row):
            divided.put(index, token_id, divisor)
        for token_id, amount in _amounts(row):
            added.put(index, token_id, amount)
    if divided.rows:
        rows_at, columns_at, by = (
            mx.array(each) for each in (divided.rows, divided.columns, divided.amounts)
        )
        before = values[rows_at, columns_at]
        factors = mx.where(before > 0, 1 / by, by).astype(values.dtype)
        values = values.at[rows_at, columns_at].multiply(factors)
    if added.rows:
        amounts = mx.array(added.amounts).astype(values.dtype)
        values = values.at[mx.array(added.rows), mx.array(added.columns)].add(amounts)
    return values


def _divisors(row: SamplingRow) -> Iterator[tuple[int, float]]:
    if row.sampling.repetition_penalty != 1.0:
        for token_id in set(row.recent_token_ids):
            yield token_id, row.sampling.repetition_penalty


def _amounts(row: SamplingRow) -> Iterator[tuple[int, float]]:
    sampling = row.sampling
    yield from sampling.logit_bias.items()
    if sampling.presence_penalty or sampling.frequency_penalty:
        for token_id, count in Counter(row.output_token_ids).items():
            yield token_id, -sampling.presence_penalty - count * sampling.frequency_penalty


class _Places:
    """Entries of a sparse (B, C) matrix."""

    def __init__(self, logits: Logits) -> None:
        self._token_ids = logits.token_ids
        self._num_candidates = logits.values.shape[-1]
        self.rows: list[int] = []
        self.columns: list[int] = []
        self.amounts: list[float] = []

    def put(self, row: int, token_id: int, amount: float) -> None:
        """Add an entry, unless the token is no candidate."""
        column = token_id if self._token_ids is None else int(np.searchsorted(self._token_ids, token_id))
        is_candidate = 0 <= column < self._num_candidates
        if is_candidate and (self._token_ids is None or self._token_ids[column] == token_id):
            self.rows.append(row)
            self.columns.append(column)
            self.amounts.append(amount)


def _column(numbers: list[float]) -> mx.array:
    return mx.array(numbers, dtype=mx.float32)[:, None]
