"""Two answers to one prompt to how alike they are: the same tokens, up to a near tie.

On a GPU the order of a sum depends on the size of a batch, so the last bits of two logits may differ, and where two
tokens are as good as equally likely either may be taken. From there on the answers are two different texts.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from jupyter_mlx_gpt_oss.check.answer import Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerance:
    """What rounding may do, in natural logarithms of a probability."""

    near_tie: float
    """Two candidates this close may be taken for one another."""
    drift: float
    """Equal tokens may differ by so much."""


TOLERANCES = {
    # float32; 3.4e-5 was the largest drift in batches of mlx-lm
    "cpu": Tolerance(near_tie=0.05, drift=1e-3),
    # bfloat16 keeps 8 bits, so logits from 16 to 32 have steps of 1/8: a tie may be two steps wide
    "gpu": Tolerance(near_tie=0.25, drift=0.5),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Likeness:
    """How far an answer follows its reference."""

    num_equal_tokens: int
    is_whole: bool
    """All tokens are equal."""
    gap: float | None = None
    """At the first difference, how much likelier the reference's token was there; None where that is not known."""
    drift: float = 0.0
    """The largest difference between log probabilities of equal tokens."""

    def is_exact(self, tolerance: Tolerance) -> bool:
        """Whether the tokens are equal, or part at a near tie."""
        return self.is_whole or (self.gap is not None and self.gap < tolerance.near_tie)


def compare(reference: Answer, other: Answer) -> Likeness:
    """Compare an answer with its reference."""
    num_equal = _num_shared(reference.token_ids, other.token_ids)
    pairs = zip(reference.logprobs[:num_equal], other.logprobs[:num_equal], strict=False)
    return Likeness(
        num_equal_tokens=num_equal,
        is_whole=reference.token_ids == other.token_ids,
        gap=_gap(reference, other, num_equal),
        drift=max((abs(a.logprob - b.logprob) for a, b in pairs), default=0.0),
    )


def _gap(reference: Answer, other: Answer, position: int) -> float | None:
    if position >= min(len(reference.logprobs), len(other.token_ids)):
        return None
    ours = reference.logprobs[position]
    theirs = dict(ours.top).get(other.token_ids[position])
    return None if theirs is None else ours.logprob - theirs


def _num_shared(a: Sequence[int], b: Sequence[int]) -> int:
    for index, (left, right) in enumerate(zip(a, b, strict=False)):
        if left != right:
            return index
    return min(len(a), len(b))
