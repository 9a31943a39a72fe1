"""Batches of the corpus: sequences of like length together, shuffled anew each epoch."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from jupyter_mlx_gpt_oss.vocabulary import NUM_TOKENS, SPECIAL_TOKENS

Ids = npt.NDArray[np.int64]
_MARKERS = ("<|return|>", "<|constrain|>", "<|channel|>", "<|start|>", "<|end|>", "<|message|>", "<|call|>")
_PADDING = SPECIAL_TOKENS["<|end|>"]


@dataclass(frozen=True, slots=True)
class Batch:
    """Token ids (B, T), and 1 where a token is to be predicted."""

    token_ids: Ids
    mask: Ids


class Corpus:
    """The token ids of all conversations.

    Args:
        paths: files that training.corpus wrote.
        min_count: how often a token must occur to get rows of its own.
        trained_ids: the tokens with rows of their own, if that is settled.
    """

    def __init__(self, paths: list[Path], min_count: int, trained_ids: Ids | None = None) -> None:
        parts = [np.load(path) for path in paths]
        self.token_ids: npt.NDArray[np.int32] = np.concatenate([part["ids"] for part in parts])
        self.mask: npt.NDArray[np.uint8] = np.concatenate([part["mask"] for part in parts])
        self.lengths: Ids = np.concatenate([part["lengths"] for part in parts])
        self._offsets = np.concatenate([[0], np.cumsum(self.lengths)])
        counts = np.bincount(self.token_ids, minlength=NUM_TOKENS)
        frequent = set(np.nonzero(counts >= min_count)[0]) | {SPECIAL_TOKENS[marker] for marker in _MARKERS}
        self.trained_ids: Ids = np.array(sorted(frequent), np.int64) if trained_ids is None else trained_ids
        is_rare = np.ones(NUM_TOKENS, bool)
        is_rare[self.trained_ids] = False
        self.rare_ids: Ids = np.nonzero(is_rare)[0]
        self.seen_rare_ids: Ids = np.nonzero(is_rare & (counts > 0))[0]

    def batches(self, rng: np.random.Generator, max_tokens: int) -> Iterator[Batch]:
        """Yield batches of at most `max_tokens` tokens, for ever."""
        while True:
            order = np.argsort(self.lengths + rng.uniform(0, 12, len(self.lengths)))
            groups: list[list[int]] = [[]]
            for index in order:
                if groups[-1] and self.lengths[index] * (len(groups[-1]) + 1) > max_tokens:
                    groups.append([])
                groups[-1].append(int(index))
            for group in rng.permutation(len(groups)):
                yield self._batch(groups[group])

    def _batch(self, indices: list[int]) -> Batch:
        longest = -(-int(self.lengths[indices].max()) // 8) * 8
        token_ids = np.full((len(indices), longest), _PADDING, np.int64)
        mask = np.zeros((len(indices), longest), np.int64)
        for row, index in enumerate(indices):
            start, length = self._offsets[index], self.lengths[index]
            token_ids[row, :length] = self.token_ids[start : start + length]
            mask[row, :length] = self.mask[start : start + length]
        return Batch(token_ids, mask)

    def repetition_batch(self, rng: np.random.Generator) -> Batch:
        """Return random tokens that are repeated: copying, before any language."""
        shape = (20, int(rng.integers(10, 40)))
        frequent, rare = rng.choice(self.trained_ids, shape), rng.choice(self.seen_rare_ids, shape)
        once = np.where(rng.random(shape) < 0.3, frequent, rare)
        token_ids = np.concatenate([once, once, once[:, : shape[1] // 2]], axis=1)
        mask = np.zeros_like(token_ids)
        mask[:, shape[1] + 1 :] = 1
        return Batch(token_ids, mask)
