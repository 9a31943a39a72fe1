"""Lengths to prompts: token ids drawn with fixed seeds, the same on every machine, which stand for no text.

Ordinary tokens only, drawn evenly, so that every expert of a model has something to do.
"""

import random
from dataclasses import dataclass

Prompt = tuple[int, ...]

WINDOW_EDGES = (127, 128, 129)
"""Around the sliding window of GPT-OSS, 128 tokens (openai/gpt-oss config.json)."""
NEEDED_CONTEXT_TOKENS = 2_304
"""The longest prompt of all checks, 2,048 tokens, and its answer."""
_MAX_TOKEN_ID = 100_000  # below GPT-OSS's special tokens; a test's vocabulary is smaller
_BASE_TOKENS, _TAIL_TOKENS, _LONG_TOKENS = 400, 40, 1000
_REPEATS = 8


def draw_prompt(num_tokens: int, vocabulary_size: int, seed: int) -> Prompt:
    """Return a prompt; two seeds give prompts that share no prefix worth keeping."""
    choose = random.Random(seed)  # noqa: S311  nothing is kept secret
    return tuple(choose.randrange(min(vocabulary_size, _MAX_TOKEN_ID)) for _ in range(num_tokens))


@dataclass(frozen=True, slots=True)
class ExactPrompts:
    """The prompts whose answers must not depend on what else happens."""

    edges: tuple[Prompt, ...]
    """One as long as each of WINDOW_EDGES."""
    base: Prompt
    branches: tuple[Prompt, ...]
    """Each the beginning of `base`, as long as one of WINDOW_EDGES, and then its own way."""
    continuation: Prompt
    """`base` and more."""
    repeating: Prompt
    """The same tokens over and over, so that an answer can be guessed."""
    long: Prompt

    @property
    def all(self) -> tuple[Prompt, ...]:
        """Every prompt once, ten of them."""
        return (*self.edges, self.base, *self.branches, self.continuation, self.repeating, self.long)


def exact_prompts(vocabulary_size: int) -> ExactPrompts:
    """Return the prompts for a vocabulary."""

    def draw(num_tokens: int, seed: int) -> Prompt:
        return draw_prompt(num_tokens, vocabulary_size, seed)

    base = draw(_BASE_TOKENS, 0)
    return ExactPrompts(
        edges=tuple(draw(edge, edge) for edge in WINDOW_EDGES),
        base=base,
        branches=tuple(base[:edge] + draw(_TAIL_TOKENS, 1000 + edge) for edge in WINDOW_EDGES),
        continuation=base + draw(_TAIL_TOKENS, 1),
        repeating=draw(_TAIL_TOKENS, 3) * _REPEATS,
        long=draw(_LONG_TOKENS, 2),
    )
