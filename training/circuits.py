"""Set by hand, before training, the heads that copying needs; everything is trained afterwards.

The stream of 192 dimensions has three parts of 64: what a token is (`reads`), what comes next (`writes`), and what stood
before (`notes`). A note is the codeword of another token, turned by a rotation of its own, so that several fit into one part.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from jupyter_mlx_gpt_oss.demo.codes import CODE_BITS, LEADING_BYTES, unit_codes
from training.model import Attention, TinyGptOss, yarn_wavelengths
from training.words import encode

_FAST = 8  # rotations quick enough to tell one position from the next
_MIDDLE = range(6, 10)  # rotations that tell ten positions from thirty
CODE_LENGTH = 11.0  # of a codeword in the stream that a layer sees
_SLOW = torch.cat([torch.arange(14, 31), torch.arange(46, 63)])  # dimensions that hardly rotate
_PREFERENCE, _GATE = 31, 63  # more of them, for one direction each
# Tokens from the `{"` of `get_price <|constrain|>json<|message|>{"` back to `_price`.
_FROM_ARGUMENTS_TO_NAME = 5


@dataclass(frozen=True, slots=True)
class Parts:
    """Parts of the stream, (64, hidden): what a token is, what comes next, and what stood before."""

    reads: Tensor
    writes: Tensor
    notes: Tensor


class Head:
    """One head of a layer, whose rows of the attention's matrices are to be set."""

    def __init__(self, attention: Attention, index: int) -> None:
        dim = attention.config.head_dim
        self._attention, self._rows, self._index = attention, slice(index * dim, (index + 1) * dim), index

    def clear(self) -> None:
        """Look nowhere and move nothing."""
        for linear in (self._attention.q_proj, self._attention.k_proj, self._attention.v_proj):
            linear.weight[self._rows].zero_()
            linear.bias[self._rows].zero_()

    def look_back(self, distance: int) -> None:
        """Look at the token so many places before."""
        wavelengths, _ = yarn_wavelengths(self._attention.config)
        angles = distance / wavelengths[:_FAST]  # a key is so far ahead of its token's place
        for linear in (self._attention.q_proj, self._attention.k_proj):
            linear.weight[self._rows].mul_(0.1)
        q, k = (linear.bias[self._rows] for linear in (self._attention.q_proj, self._attention.k_proj))
        q[:_FAST] = 5.0
        k[:_FAST] = 5.0 * angles.cos()
        k[CODE_BITS // 2 : CODE_BITS // 2 + _FAST] = 5.0 * angles.sin()

    def match(self, asked: Tensor, found: Tensor, scale: float = 1.8, sink: float = 3.0) -> None:
        """Look where the part `found` (64, hidden) of the stream holds the codeword that the part `asked` has here."""
        basis, _ = torch.linalg.qr(torch.randn(CODE_BITS, len(_SLOW)))
        q, k = (linear.weight[self._rows] for linear in (self._attention.q_proj, self._attention.k_proj))
        q.zero_()
        k.zero_()
        q[_SLOW] = scale * basis.T @ asked
        k[_SLOW] = scale * basis.T @ found
        self._attention.sinks[self._index] = sink

    def prefer(self, found: Tensor, scale: float) -> None:
        """Look rather where the stream has the direction `found` (hidden,)."""
        self._attention.q_proj.bias[self._rows][_PREFERENCE] = scale
        self._attention.k_proj.weight[self._rows][_PREFERENCE] = scale * found

    def only_at(self, token: Tensor, scale: float, sink: float) -> None:
        """Look at nothing but the sink where the present token is not that of the direction `token` (hidden,)."""
        self._attention.q_proj.weight[self._rows][_GATE] = scale * token
        self._attention.k_proj.bias[self._rows][_GATE] = scale
        self._attention.sinks[self._index] = sink

    def look_at_latest(self, found: Tensor, scale: float, sink: float) -> None:
        """Look at the latest token where the stream has the direction `found` (hidden,)."""
        dims = torch.tensor(_MIDDLE)
        q, k = (linear.weight[self._rows] for linear in (self._attention.q_proj, self._attention.k_proj))
        q.zero_()
        k.zero_()
        self._attention.q_proj.bias[self._rows][dims] = scale
        k[dims] = scale * found
        self._attention.sinks[self._index] = sink

    def move(self, source: Tensor, target: Tensor, scale: float) -> None:
        """Add the part `source` of what is looked at to the part `target` here; both (64, hidden)."""
        self._attention.v_proj.weight[self._rows] = source
        self._attention.o_proj.weight[:, self._rows] = scale * target.T

    def mark(self, mark: Tensor) -> None:
        """Add `mark` (hidden,) to the stream where the head looks at anything, for one dimension less of what it moves."""
        values, out = self._attention.v_proj, self._attention.o_proj.weight[:, self._rows]
        basis, _ = torch.linalg.qr(torch.randn(CODE_BITS, CODE_BITS))
        values.weight[self._rows] = basis.T @ values.weight[self._rows]
        out.copy_(out @ basis)
        last = self._rows.stop - 1
        values.weight[last], values.bias[last] = 0.0, 1.0
        out[:, -1] = mark


@torch.no_grad()
def set_copying_heads(model: TinyGptOss) -> None:
    """Set the heads of a fresh model.

    The first layer notes the token before and the one before that. The second has two induction heads, which find the token
    that followed the present one earlier, and the one after that; one that looks, after a plan's `The noun:`, for what stands
    before the noun in a name with `_`, the verb; and one that notes in whose declaration a token stands. The third layer
    brings the noun of a call to where its arguments begin. There, and after a plan's ` with`, the last layer finds the first
    parameter of the tool just named. Its other heads begin by copying whatever they look at.

    The scales and sinks were found by looking at where each head of a fresh model looks in a prompt: what is meant outweighs
    the sink, and the sink what only resembles it.
    """
    reads, writes, notes = model.reads, model.writes, model.notes
    before2, tool = _rotation() @ notes, _rotation() @ notes
    arguments, underscore = _codes('{"'), model.in_classes[LEADING_BYTES.index(b"_")]
    first, second, third, last = ([Head(block.attention, i) for i in range(4)] for block in model.blocks)
    for head, distance, note in zip(first, (1, 2), (notes, before2), strict=False):
        head.look_back(distance)
        head.move(reads, note, 0.5 / distance**0.3)
    second[0].match(reads, notes)
    second[0].move(reads, writes, 1.0)
    second[1].match(reads, before2)
    second[1].move(reads, writes, 0.25)
    unit_underscore = functional.normalize(underscore, dim=0)
    set_verb_head(second[2], Parts(reads, writes, notes), unit_underscore, _codes(":") @ reads)
    second[3].look_at_latest(_codes(" =") @ reads, 1.3, sink=4.0)
    second[3].move(notes, tool, 1.0)
    third[0].look_back(_FROM_ARGUMENTS_TO_NAME)
    third[0].only_at(arguments @ reads, 3.0, sink=50.0)
    third[0].move(reads, notes, 1.0)
    last[0].match(notes, tool, 2.2)
    last[0].prefer((_codes(" {\n") + 0.8 * _codes("\n")) @ notes, 5.0)
    last[0].only_at((_codes(" with") + arguments) @ reads, 3.0, sink=24.0)
    for head in last:
        head.move(reads, writes, 0.5 if head is last[0] else 0.25)


def set_verb_head(
    head: Head,
    parts: Parts,
    underscore: Tensor,
    after_noun: Tensor,
    *,
    scale: float = 1.5,
    sink: float = 26.0,
) -> None:
    """Set a head of the second layer to look, after a noun, for the name with `_` that ends so, and bring what is before it.

    `underscore` and `after_noun` are directions (hidden,).
    """
    head.match(parts.notes, parts.reads, scale)
    head.prefer(underscore, 3.5)
    head.only_at(after_noun, 2.6, sink)
    head.move(parts.notes, parts.writes, 1.0)


def set_call_head(head: Head, *, found: Tensor, functions: Tensor, verbs: Tensor, writes: Tensor) -> None:
    """Set a head of the last layer to look, at `functions`, for the latest place where a verb was found, and bring it.

    `found` and `functions` are directions (hidden,), `verbs` and `writes` parts of the stream (64, hidden).
    """
    head.look_at_latest(found, 0.9, sink=0.0)
    head.prefer(found, 3.6)
    head.only_at(functions, 2.5, sink=32.0)
    head.move(verbs, writes, 1.0)


def _rotation() -> Tensor:
    rotation, _ = torch.linalg.qr(torch.randn(CODE_BITS, CODE_BITS))
    return rotation


def _codes(text: str) -> Tensor:
    """Return the codeword of a text of one token, (64,)."""
    codes = torch.from_numpy(unit_codes(np.array(encode(text))))
    assert len(codes) == 1, text
    return codes[0]
