"""Keys and values of a stretch of tokens, cut out of caches and put back into caches.

A span holds the full-attention layers of [start, end); a snapshot holds what the sliding layers still need of the tokens
before one position: the last W. Both are contiguous copies, evaluated when they are made: a lazy slice would keep the
whole buffer it was cut from alive.

All that is touched of mlx-lm's caches is touched here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import mlx.core as mx
from mlx_lm.models.base import create_causal_mask
from mlx_lm.models.cache import KVCache, RotatingKVCache
from typing_extensions import override

KeysValues = tuple[mx.array, mx.array]
"""Each (1, heads, tokens, D)."""

_ROOM_TOKENS = 256  # allocated behind a restored span, so that the first new tokens need no second copy


@dataclass(frozen=True, slots=True)
class LayerKinds:
    """Which layers of a model see everything, and which see a window."""

    full: tuple[int, ...]
    sliding: tuple[int, ...]
    window: int
    """Tokens that a sliding layer sees, the current one included: W."""

    @classmethod
    def of(cls, model: Any) -> "LayerKinds":
        """Read them off mlx-lm's gpt_oss Model."""
        kinds = list(enumerate(model.model.layer_types))
        return cls(
            full=tuple(index for index, kind in kinds if kind == "full_attention"),
            sliding=tuple(index for index, kind in kinds if kind != "full_attention"),
            window=model.args.sliding_window,
        )

    @property
    def replay_tokens(self) -> int:
        """Tokens to run again to rebuild all sliding layers without a snapshot.

        The j-th sliding layer is exact after (W - 1) * j tokens, as long as the full layers read what is kept.
        """
        return (self.window - 1) * len(self.sliding)


@dataclass(frozen=True, slots=True)
class Span:
    """Keys and values of the full-attention layers for a stretch of tokens."""

    layers: tuple[KeysValues, ...]

    @property
    def num_bytes(self) -> int:
        """Memory it holds."""
        return sum(keys.nbytes + values.nbytes for keys, values in self.layers)

    def cut(self, start: int, end: int) -> "Span":
        """Copy a part, counted from the span's own start."""
        return Span(_contiguous([_slice(pair, start, end) for pair in self.layers]))


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Keys and values of the sliding layers: the last W tokens before a position."""

    layers: tuple[KeysValues, ...]

    @property
    def num_bytes(self) -> int:
        """Memory it holds."""
        return sum(keys.nbytes + values.nbytes for keys, values in self.layers)


def copy_span(caches: Sequence[Any], kinds: LayerKinds, start: int, end: int) -> Span:
    """Copy the full-attention layers' [start, end) out of caches that hold it."""
    return Span(_contiguous([_slice((caches[i].keys, caches[i].values), start, end) for i in kinds.full]))


def take_snapshot(caches: Sequence[Any], kinds: LayerKinds, position: int) -> Snapshot | None:
    """Copy what the sliding layers need to go on from a position; None if they have forgotten it.

    After a chunk of S tokens a ring still holds the last W - 1 + S, so every position inside the chunk can be taken.
    """
    layers = [_ring_tail(caches[i], position, kinds.window) for i in kinds.sliding]
    known = [layer for layer in layers if layer is not None]
    return Snapshot(_contiguous(known)) if len(known) == len(layers) else None


def rewind(caches: Sequence[Any], kinds: LayerKinds, num_tokens: int) -> None:
    """Take back the last tokens of the chunk that was just computed, which had more than those."""
    for index in kinds.full:
        caches[index].trim(num_tokens)
    for index in kinds.sliding:  # right behind a chunk a ring is in order, its newest token last
        ring = caches[index]
        ring.keys, ring.values = _slice((ring.keys, ring.values), 0, ring.keys.shape[2] - num_tokens)
        ring.offset -= num_tokens
        ring._idx = ring.keys.shape[2]  # noqa: SLF001  mlx-lm has no other way to place a ring


def restore(
    caches: list[Any], kinds: LayerKinds, spans: Sequence[Span], snapshot: Snapshot, position: int
) -> list[Any]:
    """Fill empty caches so that they stand at a position.

    Args:
        caches: of every layer, empty; filled in place.
        kinds: of the layers.
        spans: cover [0, position) without a gap.
        snapshot: at the position.
        position: tokens.

    Returns:
        The caches.
    """
    for order, index in enumerate(kinds.full):
        caches[index].keys, caches[index].values = _join([span.layers[order] for span in spans])
        caches[index].offset = position
    _fill_rings(caches, kinds, snapshot, position)
    return caches


def replay_caches(num_layers: int, kinds: LayerKinds, spans: Sequence[Span], start: int) -> list[Any]:
    """Return caches to run the tokens from `start` again: full layers read what is kept, sliding layers start empty."""
    caches: list[Any] = [_ReplayedRing(kinds.window, start) for _ in range(num_layers)]
    for order, index in enumerate(kinds.full):
        keys, values = _join([span.layers[order] for span in spans])
        caches[index] = _ReplayedCache(keys, values, start)
    return caches


def end_replay(caches: list[Any], replayed: Sequence[Any], kinds: LayerKinds, position: int) -> list[Any]:
    """Fill empty caches from replayed ones that have reached a position."""
    for index in kinds.full:
        caches[index].keys, caches[index].values = replayed[index].keys, replayed[index].values
        caches[index].offset = position
    snapshot = take_snapshot(replayed, kinds, position)
    assert snapshot is not None, "a replay ends where its rings stand"
    _fill_rings(caches, kinds, snapshot, position)
    return caches


def _fill_rings(caches: list[Any], kinds: LayerKinds, snapshot: Snapshot, position: int) -> None:
    for (keys, values), index in zip(snapshot.layers, kinds.sliding, strict=True):
        ring = caches[index]
        # A ring assigns single tokens into its array objects, so it gets ones of its own; MLX copies when it writes.
        ring.keys, ring.values = _slice((keys, values), 0, keys.shape[2])
        ring.offset, ring._idx = position, keys.shape[2]  # noqa: SLF001  as in rewind


def _ring_tail(ring: RotatingKVCache, position: int, window: int) -> KeysValues | None:
    """Return the W tokens before a position in their order; fewer at the start of a sequence."""
    keys, values = ring._temporal_order(ring.keys), ring._temporal_order(ring.values)  # noqa: SLF001  as in rewind
    first = ring.offset - keys.shape[2]
    wanted = max(0, position - window)
    if wanted < first - 1:
        return None
    keys, values = _slice((keys, values), max(0, wanted - first), position - first)
    if wanted < first:
        # Only W - 1 tokens are ever attended to, but a ring that has gone round must have W slots: the oldest, which is
        # overwritten first, may hold anything.
        keys = mx.concatenate([keys[..., :1, :], keys], axis=2)
        values = mx.concatenate([values[..., :1, :], values], axis=2)
    return keys, values


def _slice(pair: KeysValues, start: int, end: int) -> KeysValues:
    return pair[0][..., start:end, :], pair[1][..., start:end, :]


def _contiguous(layers: list[KeysValues]) -> tuple[KeysValues, ...]:
    copies = [(mx.contiguous(keys), mx.contiguous(values)) for keys, values in layers]
    mx.eval(copies)
    return tuple(copies)


def _join(pairs: list[KeysValues]) -> KeysValues:
    keys, values = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    for parts in (keys, values):
        heads, size = parts[0].shape[1], parts[0].shape[3]
        parts.append(mx.zeros((1, heads, _ROOM_TOKENS, size), parts[0].dtype))
    return mx.concatenate(keys, axis=2), mx.concatenate(values, axis=2)


class _ReplayedCache(KVCache):
    """A full-attention cache whose content is there already: takes no new keys and values."""

    def __init__(self, keys: mx.array, values: mx.array, start: int) -> None:
        super().__init__()
        self.keys: mx.array = keys
        self.values: mx.array = values
        self.offset = start

    @override
    def update_and_fetch(self, keys: mx.array, values: mx.array) -> KeysValues:
        self.offset += keys.shape[2]
        return self.keys[..., : self.offset, :], self.values[..., : self.offset, :]


class _ReplayedRing(RotatingKVCache):
    """A sliding cache that is empty at a position other than 0."""

    def __init__(self, window: int, start: int) -> None:
        super().__init__(window)
        self.offset = start

    @override
    def make_mask(self, N: int, window_size: int | None = None, return_array: bool = False) -> mx.array:
        held = 0 if self.keys is None else min(self.max_size - 1, self.keys.shape[2])
        mask: mx.array = create_causal_mask(N, held, window_size=window_size or self.max_size)
        return mask

    @override
    def update_and_fetch(self, keys: mx.array, values: mx.array) -> KeysValues:
        held: KeysValues = self._update_concat(keys, values)
        return held
