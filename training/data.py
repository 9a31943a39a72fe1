"""Batches of the corpus: families of like length together, shuffled anew each epoch.

The tokens of a batch stand in one line, without padding. Attention alone needs rows: each branch of a family is one, whose
keys are the family's prologue before its own; each prologue is one. N tokens; R rows of up to Q queries and K keys.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from jupyter_mlx_gpt_oss.demo.codes import base_token_ids
from jupyter_mlx_gpt_oss.vocabulary import NUM_TOKENS, SPECIAL_TOKENS

Ids = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
_LEAST_BY_HEART = 5  # times that the corpus says a token that cannot be copied, for rows of its own
_LEAST_FILLED = 0.75  # of a row of attention; a shorter one begins a new group of rows
_MARKERS = ("<|return|>", "<|constrain|>", "<|channel|>", "<|start|>", "<|end|>", "<|message|>", "<|call|>")


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of attention that are of like length.

    Attributes:
        queries: indices of tokens, (R, Q); 0 where a row has fewer.
        keys: indices of tokens, (R, K); 0 where a row has fewer.
        distances: from each query back to each key, (R, Q, K); negative where a query may not look.
    """

    queries: Ids
    keys: Ids
    distances: Ids


@dataclass(frozen=True, slots=True)
class Arrangement:
    """Rows of attention, and where each query's answer stands in them.

    Attributes:
        rows: of Q queries each.
        answers: where each query stands in the queries of all rows, flattened, (N,) or (M,).
    """

    rows: list[Rows]
    answers: Ids


@dataclass(frozen=True, slots=True)
class Batch:
    """Tokens in one line, and where attention finds them.

    Attributes:
        token_ids: (N,).
        positions: places in their conversations, (N,).
        predicting: indices of the tokens whose next token is to be predicted, (M,).
        targets: the tokens after those, (M,).
        weights: of each of them in the loss, (M,).
        inner: attention in all layers but the last; each token is a query once.
        last: attention in the last layer, where only those that predict are queries, by their places in `predicting`.
    """

    token_ids: Ids
    positions: Ids
    predicting: Ids
    targets: Ids
    weights: Ids
    inner: Arrangement
    last: Arrangement


@dataclass(frozen=True, slots=True)
class _Run:
    """Tokens that follow each other, after a prologue or none."""

    start: int
    length: int
    prologue_start: int = 0
    prologue_length: int = 0


def _runs(branches: list[Ids]) -> list[_Run]:
    """Return the prologues and branches of families, the longest first."""
    runs: list[_Run] = []
    start = 0
    for family in branches:
        prologue, *counts = np.bincount(family)
        prologue_start = start
        runs.append(_Run(start, prologue))
        start += prologue
        for count in counts:
            runs.append(_Run(start, count, prologue_start, prologue))
            start += count
    return sorted(runs, key=lambda run: -run.length)


def _alike(runs: list[_Run]) -> Iterator[list[_Run]]:
    """Yield runs, the longest first, in groups that need little padding."""
    group: list[_Run] = []
    for run in runs:
        if group and run.length < _LEAST_FILLED * group[0].length:
            yield group
            group = []
        group.append(run)
    yield group


def _rows(runs: list[_Run], asking: list[Ids], places: Ids) -> Rows:
    """Return one row for each run; `asking` are the tokens of each that are queries, `places` what a query is called."""
    num_queries = max(len(asked) for asked in asking)
    num_keys = max(run.prologue_length + run.length for run in runs)
    queries = np.zeros((len(runs), num_queries), np.int64)
    keys = np.zeros((len(runs), num_keys), np.int64)
    distances = np.full((len(runs), num_queries, num_keys), -1, np.int64)
    distances[:, :, 0] = 0  # a query that stands for none has to look somewhere
    for index, (run, asked) in enumerate(zip(runs, asking, strict=True)):
        reach = run.prologue_length + run.length
        queries[index, : len(asked)] = places[asked]
        keys[index, : run.prologue_length] = np.arange(
            run.prologue_start, run.prologue_start + run.prologue_length
        )
        keys[index, run.prologue_length : reach] = np.arange(run.start, run.start + run.length)
        own = asked - run.start + run.prologue_length
        distances[index, : len(asked), :reach] = own[:, None] - np.arange(reach)[None]
    return Rows(queries, keys, distances)


def _arrange(runs: list[_Run], is_asking: Flags) -> Arrangement:
    """Lay out the rows of `runs`, whose tokens are queries where `is_asking` (N,) says so."""
    places = np.cumsum(is_asking) - 1
    answers = np.zeros(int(is_asking.sum()), np.int64)
    rows: list[Rows] = []
    num_queries = 0
    for group in _alike(runs):
        asking = [run.start + np.nonzero(is_asking[run.start : run.start + run.length])[0] for run in group]
        rows.append(_rows(group, asking, places))
        for asked in asking:
            answers[places[asked]] = np.arange(len(asked)) + num_queries
            num_queries += rows[-1].queries.shape[1]
    return Arrangement(rows, answers)


def make_batch(token_ids: Ids, weights: Ids, branches: list[Ids]) -> Batch:
    """Lay out families whose tokens stand one after the other.

    Args:
        token_ids: (N,).
        weights: of each token in the loss, 0 where it is not to be predicted, (N,).
        branches: for each family, the branch of each of its tokens; 0 is the prologue, and stands first.
    """
    runs = _runs(branches)
    positions = np.zeros_like(token_ids)
    for run in runs:
        positions[run.start : run.start + run.length] = np.arange(run.length) + run.prologue_length
    predicts = np.concatenate([weights[1:] > 0, [False]])
    predicting = np.nonzero(predicts)[0]
    everywhere = np.ones_like(predicts)
    inner = _arrange(runs, everywhere)
    last = _arrange([run for run in runs if predicts[run.start : run.start + run.length].any()], predicts)
    following = predicting + 1
    return Batch(token_ids, positions, predicting, token_ids[following], weights[following], inner, last)


@dataclass(frozen=True, slots=True)
class Family:
    """Conversations with one prologue: token ids, weights in the loss and branches, each (N,); branch 0 is the prologue."""

    token_ids: Ids
    weights: Ids
    branches: Ids

    def batch(self) -> Batch:
        """Return the family alone as a batch."""
        return make_batch(self.token_ids, self.weights, [self.branches])

    def said_by_heart(self) -> Ids:
        """Return the tokens to predict whose codeword no token before them in their conversation has."""
        bases = base_token_ids()[self.token_ids]
        _, first = np.unique(self.branches * NUM_TOKENS + bases, return_index=True)
        first = first[self.weights[first] > 0]
        prologue = bases[self.branches == 0]
        said: Ids = self.token_ids[first[~np.isin(bases[first], prologue)]]
        return said


class Corpus:
    """The token ids of all families.

    Args:
        paths: files that training.corpus wrote.
        min_count: how often a token must occur to get rows of its own.
        trained_ids: the tokens with rows of their own, if that is settled.
    """

    def __init__(self, paths: list[Path], min_count: int, trained_ids: Ids | None = None) -> None:
        parts = [np.load(path) for path in paths]
        self.token_ids: npt.NDArray[np.int32] = np.concatenate([part["ids"] for part in parts])
        self._weights: npt.NDArray[np.uint8] = np.concatenate([part["weights"] for part in parts])
        self._branches: npt.NDArray[np.int16] = np.concatenate([part["branches"] for part in parts])
        self.lengths: Ids = np.concatenate([part["lengths"] for part in parts])
        self._offsets = np.concatenate([[0], np.cumsum(self.lengths)])
        self._widths = np.array([self._width(index) for index in range(len(self.lengths))])
        counts = np.bincount(self.token_ids, minlength=NUM_TOKENS)
        self.trained_ids = self._choose_trained(counts >= min_count) if trained_ids is None else trained_ids
        is_rare = np.ones(NUM_TOKENS, bool)
        is_rare[self.trained_ids] = False
        self.rare_ids: Ids = np.nonzero(is_rare)[0]
        self.seen_rare_ids: Ids = np.nonzero(is_rare & (counts > 0))[0]

    def _choose_trained(self, is_frequent: Flags) -> Ids:
        """Return the tokens that get rows of their own.

        They are the frequent ones, and those that cannot be copied from what was said, such as ` Ottawa`: with a codeword
        alone they are hardly learned by heart.
        """
        said = np.concatenate([self.family(index).said_by_heart() for index in range(len(self.lengths))])
        is_trained = is_frequent | (np.bincount(said, minlength=NUM_TOKENS) >= _LEAST_BY_HEART)
        is_trained[[SPECIAL_TOKENS[marker] for marker in _MARKERS]] = True
        trained: Ids = np.nonzero(is_trained)[0]
        return trained

    def _tokens(self, index: int) -> slice:
        return slice(self._offsets[index], self._offsets[index + 1])

    def _width(self, index: int) -> int:
        """Return the length of the longest row of a family."""
        return int(np.bincount(self._branches[self._tokens(index)]).max())

    def batches(
        self, rng: np.random.Generator, max_tokens: int, rank: int = 0, num_processes: int = 1
    ) -> Iterator[Batch]:
        """Yield a process's batches of about `max_tokens` tokens, for ever.

        What the processes do at the same time has about as many tokens, so that none waits for another; `rng` is the same for
        all.
        """
        while True:
            order = np.argsort(self._widths + rng.uniform(0, 24, len(self._widths)))
            groups: list[list[int]] = [[]]
            num_tokens = 0
            for index in order:
                if groups[-1] and num_tokens + self.lengths[index] > 1.15 * max_tokens:
                    groups.append([])
                    num_tokens = 0
                groups[-1].append(int(index))
                num_tokens += int(self.lengths[index])
            if len(groups) < num_processes:
                raise ValueError(
                    f"{num_processes} processes need as many batches, and the corpus gives {len(groups)} of {max_tokens} tokens: "
                    "make it larger, or the batches smaller"
                )
            groups.sort(key=lambda group: int(self.lengths[group].sum()))
            for first in rng.permutation(len(groups) // num_processes) * num_processes:
                yield self._batch(groups[first + rank])

    def family(self, index: int) -> Family:
        """Return the family number `index`."""
        part = self._tokens(index)
        columns = (self.token_ids[part], self._weights[part], self._branches[part])
        return Family(*(column.astype(np.int64) for column in columns))

    def _batch(self, indices: list[int]) -> Batch:
        families = [self.family(index) for index in indices]
        token_ids = np.concatenate([family.token_ids for family in families])
        weights = np.concatenate([family.weights for family in families])
        return make_batch(token_ids, weights, [family.branches for family in families])

    def repetition_batch(self, rng: np.random.Generator) -> Batch:
        """Return random tokens that are repeated: copying, before any language."""
        shape = (20, int(rng.integers(10, 40)))
        frequent, rare = rng.choice(self.trained_ids, shape), rng.choice(self.seen_rare_ids, shape)
        once = np.where(rng.random(shape) < 0.3, frequent, rare)
        token_ids = np.concatenate([once, once, once[:, : shape[1] // 2]], axis=1)
        weights = np.zeros_like(token_ids)
        weights[:, shape[1] + 1 :] = 1
        alone = [np.zeros(token_ids.shape[1], np.int64)] * len(token_ids)
        return make_batch(token_ids.reshape(-1), weights.reshape(-1), alone)
