"""Prompts to the caches of their longest known prefix: what was computed once is not computed again.

A radix tree over token ids. A node owns the full-attention keys and values of its own stretch, shared by every branch below
it, and snapshots of the sliding layers at some positions. A prompt resumes at the deepest snapshot of its path, or anywhere by
replay: the full layers read what is kept while a bounded number of tokens rebuild the sliding ones. Both are exact. What was
not used longest goes first when the bytes run out; sequences that run have copies of their own and never lose anything.

Owned by the worker's main thread.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

import numpy as np
import numpy.typing as npt

from jupyter_mlx_gpt_oss.worker.kv_span import LayerKinds, Snapshot, Span, copy_span, replay_caches, restore

TokenIds = npt.NDArray[np.int32]
_FIRST_SNAPSHOTS, _LAST_SNAPSHOTS = (
    2,
    6,
)  # of a path: behind system and developer message, and the last three turns


class Stretch(Enum):
    """What the last tokens of a sequence are that is kept."""

    PROMPT = auto()
    READ_AHEAD = auto()
    """They end a turn that others are likely to go on from, also much later."""
    ANSWER = auto()


@dataclass(slots=True, eq=False)
class Node:
    """A stretch of tokens below its parent's; the root's is empty."""

    parent: "Node | None"
    token_ids: TokenIds
    start: int
    span: Span
    last_used: int = 0
    is_answer: bool = False
    children: "dict[int, Node]" = field(default_factory=dict)
    snapshots: dict[int, Snapshot] = field(default_factory=dict)
    """By position; start < position <= end."""
    turn_ends: set[int] = field(default_factory=set)
    """Positions behind which somebody is expected to speak: the snapshots that outlast others."""

    @property
    def end(self) -> int:
        """Position behind the last token."""
        return self.start + len(self.token_ids)


@dataclass(frozen=True, slots=True)
class Resume:
    """Where a prompt goes on."""

    num_tokens: int
    """Tokens that the caches hold, or will hold when the replay is over."""
    num_replayed: int
    """Tokens before that position to run again first; 0: none."""
    caches: list[Any]
    """At num_tokens - num_replayed."""


@dataclass(frozen=True, slots=True)
class _Path:
    """How far a prompt is known: nodes from below the root, and how many tokens of each."""

    steps: tuple[tuple[Node, int], ...]
    num_tokens: int


class PrefixCache:
    """Keys and values of prompts and answers, bounded in bytes.

    Args:
        kinds: the model's layers.
        make_caches: returns empty caches for one sequence.
        max_bytes: of all spans and snapshots together; 0 keeps nothing.
    """

    def __init__(self, kinds: LayerKinds, make_caches: Any, max_bytes: int) -> None:
        self._kinds = kinds
        self._make_caches = make_caches
        self._max_bytes = max_bytes
        self._root = Node(None, np.empty(0, np.int32), 0, Span(()))
        self._clock = itertools.count(1)
        self.num_bytes = 0
        self.num_snapshot_bytes = 0  # of those

    def resume(self, prompt_token_ids: Sequence[int]) -> Resume:
        """Return caches for the longest known prefix; at least the prompt's last token is left to compute."""
        path = self._match(_ids(prompt_token_ids))
        known = min(path.num_tokens, len(prompt_token_ids) - 1)
        position, snapshot = self._deepest_snapshot(path, known)
        replay = min(known, self._kinds.replay_tokens)
        if known - position > replay:
            spans = self._spans(path, known)
            caches = replay_caches(len(self._make_caches()), self._kinds, spans, known - replay)
            return Resume(known, replay, caches)
        if snapshot is None:
            return Resume(0, 0, self._make_caches())
        spans = self._spans(path, position)
        return Resume(position, 0, restore(self._make_caches(), self._kinds, spans, snapshot, position))

    def keep(
        self,
        token_ids: Sequence[int],
        caches: Sequence[Any],
        snapshots: Mapping[int, Snapshot],
        stretch: Stretch,
    ) -> None:
        """Keep what a sequence has computed; only what is not known yet is copied.

        Args:
            token_ids: all of them computed.
            caches: at len(token_ids) or beyond.
            snapshots: by position, up to len(token_ids).
            stretch: what they end with.
        """
        if not self._max_bytes or not len(token_ids):
            return
        ids = _ids(token_ids)
        path = self._match(ids)
        node = self._end_of(path)
        if path.num_tokens < len(ids):
            span = copy_span(caches, self._kinds, path.num_tokens, len(ids))
            room = self._max_bytes - span.num_bytes - _path_bytes(node)
            if room < 0:
                return  # it would push out everybody else's, and then itself
            if sum(snapshot.num_bytes for snapshot in snapshots.values()) > room:
                snapshots = {}  # it can be gone on from without, by replay
            is_answer = stretch is Stretch.ANSWER
            child = Node(node, ids[path.num_tokens :], path.num_tokens, span, next(self._clock), is_answer)
            node.children[int(child.token_ids[0])] = child
            self.num_bytes += span.num_bytes
            node = child
        if stretch is Stretch.READ_AHEAD:
            node.turn_ends.add(len(ids))
        for position, snapshot in snapshots.items():
            self._hang(node, position, snapshot)
        self._thin(node)
        if stretch is Stretch.PROMPT:
            self._thin_answers_left(node)
        self._evict()

    @property
    def keeps_anything(self) -> bool:
        """Whether there is room at all."""
        return self._max_bytes > 0

    def num_known(self, prompt_token_ids: TokenIds) -> int:
        """Return how many leading tokens of a prompt are kept."""
        return self._match(prompt_token_ids).num_tokens

    def has_snapshot_at_end(self, prompt_token_ids: TokenIds) -> bool:
        """Whether all of a prompt is kept, and one that goes on from it would resume right there."""
        path, end = self._match(prompt_token_ids), len(prompt_token_ids)
        return path.num_tokens == end and any(end in node.snapshots for node, _ in path.steps)

    def clear(self) -> None:
        """Forget everything."""
        self._root.children.clear()
        self.num_bytes = self.num_snapshot_bytes = 0

    # -- lookup ---------------------------------------------------------------------------------------------------

    def _match(self, ids: TokenIds) -> _Path:
        """Return the known part, and mark it as used."""
        node, position, steps, now = self._root, 0, [], next(self._clock)
        while position < len(ids) and (child := node.children.get(int(ids[position]))) is not None:
            num_tokens = num_shared(child.token_ids, ids[position:])
            child.last_used = now
            steps.append((child, num_tokens))
            position += num_tokens
            if num_tokens < len(child.token_ids):
                break
            node = child
        return _Path(tuple(steps), position)

    @staticmethod
    def _deepest_snapshot(path: _Path, limit: int) -> tuple[int, Snapshot | None]:
        best: tuple[int, Snapshot | None] = (0, None)
        for node, num_tokens in path.steps:
            for position, snapshot in node.snapshots.items():
                if best[0] < position <= min(limit, node.start + num_tokens):
                    best = (position, snapshot)
        return best

    @staticmethod
    def _spans(path: _Path, end: int) -> list[Span]:
        """Return spans that cover [0, end); the last one is cut where need be."""
        spans = []
        for node, _ in path.steps:
            if node.start >= end:
                break
            spans.append(node.span if node.end <= end else node.span.cut(0, end - node.start))
        return spans

    # -- growth ---------------------------------------------------------------------------------------------------

    def _end_of(self, path: _Path) -> Node:
        """Return the node that ends where the path ends, splitting one if need be."""
        if not path.steps:
            return self._root
        node, num_tokens = path.steps[-1]
        return node if num_tokens == len(node.token_ids) else self._split(node, num_tokens)

    def _split(self, node: Node, num_tokens: int) -> Node:
        """Cut a node in two, and return the upper one; real copies, so that either half can be freed."""
        assert node.parent is not None
        upper = Node(
            node.parent,
            node.token_ids[:num_tokens],
            node.start,
            node.span.cut(0, num_tokens),
            node.last_used,
            node.is_answer,
        )
        node.parent.children[int(upper.token_ids[0])] = upper
        node.span = node.span.cut(num_tokens, len(node.token_ids))
        node.token_ids = node.token_ids[num_tokens:]
        node.start, node.parent = upper.end, upper
        upper.children[int(node.token_ids[0])] = node
        for position in [position for position in node.snapshots if position <= upper.end]:
            upper.snapshots[position] = node.snapshots.pop(position)
        upper.turn_ends = {position for position in node.turn_ends if position <= upper.end}
        node.turn_ends -= upper.turn_ends
        return upper

    def _hang(self, leaf: Node, position: int, snapshot: Snapshot) -> None:
        """Put a snapshot on the node that holds its position."""
        node = leaf
        while node.parent is not None and position <= node.start:
            node = node.parent
        if node.parent is not None and position not in node.snapshots:
            node.snapshots[position] = snapshot
            self._count_snapshots(snapshot.num_bytes)

    def _thin(self, leaf: Node) -> None:
        """Leave a path its first snapshots, which many prompts share, its last, and the ends of turns.

        Replay bounds what the others would save.
        """
        held = []
        node: Node | None = leaf
        while node is not None:
            held += [(position, node) for position in node.snapshots if position not in node.turn_ends]
            node = node.parent
        held.sort(key=lambda each: each[0])
        for position, holder in held[_FIRST_SNAPSHOTS:-_LAST_SNAPSHOTS]:
            self._count_snapshots(-holder.snapshots.pop(position).num_bytes)

    def _thin_answers_left(self, leaf: Node) -> None:
        """Take the snapshots of short answers that a conversation, which has come to a leaf, did not go on from.

        Shorter than a window, they are computed again for less than a snapshot holds.
        """
        for answer in self._short_answers_beside(leaf):
            for position in answer.snapshots.keys() - answer.turn_ends:
                self._count_snapshots(-answer.snapshots.pop(position).num_bytes)

    def _short_answers_beside(self, node: Node) -> Iterator[Node]:
        while node.parent is not None:
            for other in node.parent.children.values():
                is_left = other is not node and other.is_answer and not other.children
                if is_left and len(other.token_ids) < self._kinds.window:
                    yield other
            node = node.parent

    def _count_snapshots(self, num_bytes: int) -> None:
        self.num_snapshot_bytes += num_bytes
        self.num_bytes += num_bytes

    # -- eviction -------------------------------------------------------------------------------------------------

    def _nodes(self) -> Iterator[Node]:
        stack = list(self._root.children.values())
        while stack:
            node = stack.pop()
            stack.extend(node.children.values())
            yield node

    def _evict(self) -> None:
        """Drop what was not used longest: leaves, and so, branch by branch, whatever hangs on nothing used."""
        while self.num_bytes > self._max_bytes:
            leaf = min((node for node in self._nodes() if not node.children), key=lambda node: node.last_used)
            assert leaf.parent is not None
            del leaf.parent.children[int(leaf.token_ids[0])]
            self.num_bytes -= leaf.span.num_bytes
            self._count_snapshots(-sum(each.num_bytes for each in leaf.snapshots.values()))


def _ids(token_ids: Sequence[int]) -> TokenIds:
    return np.asarray(token_ids, dtype=np.int32)


def _path_bytes(node: Node) -> int:
    """Return what is kept takes, from the root to the end of a node."""
    num_bytes, above = 0, node
    while above.parent is not None:
        num_bytes += above.span.num_bytes + sum(each.num_bytes for each in above.snapshots.values())
        above = above.parent
    return num_bytes


def num_shared(a: TokenIds, b: TokenIds) -> int:
    """Return how many leading ids two stretches share."""
    length = min(len(a), len(b))
    different = np.flatnonzero(a[:length] != b[:length])
    return int(different[0]) if len(different) else length
