"""The grammar of a request to the tokens that may come next. All that is touched of llguidance is touched here.

A grammar is what `harmony/grammar.py` writes; nothing here knows Harmony. What a client's schema can cost is bounded
twice: by harmony/schema_limits.py before it is compiled, and by llguidance's own limits in compiling and in every step.
Source: llguidance 1.9.1; docs/constraints.md.
"""

import json
import threading
from collections.abc import Sequence
from typing import Any

import mlx.core as mx
import numpy as np
import numpy.typing as npt
from llguidance import LLMatcher, LLParserLimits, LLTokenizer

from jupyter_mlx_gpt_oss.errors import InvalidRequestError
from jupyter_mlx_gpt_oss.vocabulary import NUM_TOKENS, SPECIAL_TOKENS, token_ranks
from jupyter_mlx_gpt_oss.worker.head import Logits

Allowed = npt.NDArray[np.bool_]
"""(V,): whether each token of the vocabulary may come next."""

_MAX_MESSAGE_CHARS = 200
_END_OF_TEXT = SPECIAL_TOKENS["<|endoftext|>"]
# o200k_base's splitting, from tiktoken (MIT): where the grammar forces text, llguidance forces its usual tokens.
_CASED = r"'s|'t|'re|'ve|'m|'ll|'d"
_UPPER, _LOWER = r"\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}", r"\p{Ll}\p{Lm}\p{Lo}\p{M}"
_SPLITTING = "|".join(
    (
        rf"[^\r\n\p{{L}}\p{{N}}]?[{_UPPER}]*[{_LOWER}]+(?i:{_CASED})?",
        rf"[^\r\n\p{{L}}\p{{N}}]?[{_UPPER}]+[{_LOWER}]*(?i:{_CASED})?",
        r"\p{N}{1,3}",
        r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
        r"\s*[\r\n]+",
        r"\s+(?!\S)",
        r"\s+",
    )
)


class Constraint:
    """Where one answer stands in its grammar. Owned by the thread that samples; never crosses to another."""

    def __init__(self, matcher: LLMatcher, vocabulary_size: int) -> None:
        self._matcher = matcher
        self._vocabulary_size = vocabulary_size

    @property
    def is_finished(self) -> bool:
        """Whether nothing but the end of the text may follow."""
        return self._matcher.is_stopped()

    def allowed(self) -> Allowed:
        """Return which tokens may come next; at least one.

        Raises:
            InvalidRequestError: the grammar has become too complex, or the model has no token that it allows.
        """
        bits = np.frombuffer(self._matcher.compute_bitmask(), dtype=np.uint8)
        self._check()
        allowed: Allowed = np.unpackbits(bits, count=self._vocabulary_size, bitorder="little").view(np.bool_)
        if not allowed.any():
            message = "The model's vocabulary has no token with which the answer could keep to the grammar."
            raise InvalidRequestError(message)
        return allowed

    def allowed_along(self, draft: Sequence[int]) -> list[Allowed]:
        """Return what may come next, and what behind each token of a draft, as far as the draft is allowed itself.

        Raises:
            InvalidRequestError: as `allowed`.
        """
        ahead = self.fork()
        along = [ahead.allowed()]
        for token_id in draft:
            if ahead.is_finished or not along[-1][token_id]:
                break
            ahead.accept(token_id)
            along.append(ahead.allowed())
        return along

    def forced_token_ids(self) -> list[int]:
        """Return the tokens that come next whatever is drawn: a draft that is always right; often empty."""
        return self._matcher.compute_ff_tokens()

    def accept(self, token_id: int) -> None:
        """Go on after a sampled token, which was allowed.

        Raises:
            InvalidRequestError: the grammar has become too complex.
        """
        self._matcher.consume_token(token_id)
        self._check()

    def fork(self) -> "Constraint":
        """Return a copy that goes its own way, for another answer to the same prompt."""
        return Constraint(self._matcher.deep_copy(), self._vocabulary_size)

    def _check(self) -> None:
        if self._matcher.is_error():  # its message would quote the answer
            message = "The answer cannot be held to the schema any further: it is too complex. Simplify its patterns."
            raise InvalidRequestError(message)


class ConstraintFactory:
    """Compile grammars for one model.

    Args:
        vocabulary_size: rows of the model's head, V.
    """

    def __init__(self, vocabulary_size: int) -> None:
        self._vocabulary_size = vocabulary_size
        self._limits = LLParserLimits(verbose_errors=False)
        self._tokenizer: LLTokenizer | None = None
        self._lock = threading.Lock()

    def prepare(self) -> LLTokenizer:
        """Build the tokenizer, if that is not done: 1 to 3 s, most of which hold the interpreter's lock. From any thread."""
        with self._lock:
            if self._tokenizer is None:
                maker: Any = LLTokenizer  # its type stubs lack from_tiktoken
                self._tokenizer = maker.from_tiktoken(
                    encoder=token_ranks(),
                    special_tokens=SPECIAL_TOKENS,
                    pattern=_SPLITTING,
                    eos_token=_END_OF_TEXT,
                    n_vocab=max(NUM_TOKENS, self._vocabulary_size),
                )
            return self._tokenizer

    def compile(self, grammar: str) -> Constraint:
        """Return the constraint of an answer that has not begun, or has as far as the grammar's `opened`.

        Takes milliseconds for what people write and seconds for the worst that the limits of a request leave; other
        threads run meanwhile. Needs a stack of 8 MiB, as main threads have.

        Args:
            grammar: the JSON of `harmony.grammar.turn_grammar`.

        Raises:
            InvalidRequestError: a schema cannot be compiled; names its path and the reason. Or what is opened does not
                keep to the grammar.
        """
        parts = json.loads(grammar)
        matcher = self._matcher(parts["grammars"])
        if matcher.is_error():
            self._blame(parts["grammars"], parts.get("params", {}))
            raise InvalidRequestError(f"The grammar cannot be compiled: {_reason(matcher.get_error())}")
        if not matcher.consume_tokens(parts.get("opened", [])):
            message = "The last message, which is continued, does not keep to response_format so far."
            raise InvalidRequestError(message, param="messages")
        return Constraint(matcher, self._vocabulary_size)

    def _blame(self, grammars: list[dict[str, Any]], params: dict[str, str]) -> None:
        """Raise for the first schema that cannot be compiled alone."""
        for part in grammars:
            param = params.get(part.get("name", ""))
            if param is None:
                continue
            matcher = self._matcher([{"json_schema": part["json_schema"]}])
            if matcher.is_error():
                message = f"{param} cannot be held to: {_reason(matcher.get_error())}"
                raise InvalidRequestError(message, param=param)

    def _matcher(self, grammars: list[dict[str, Any]]) -> LLMatcher:
        text = json.dumps({"grammars": grammars})
        return LLMatcher(self.prepare(), text, limits=self._limits, log_level=0)


def mask_logits(logits: Logits, rows: Sequence[Allowed | None]) -> Logits:
    """Return the logits with -inf for what a row does not allow.

    Args:
        logits: (B, C).
        rows: B of them; None: the row is free.
    """
    if all(row is None for row in rows):
        return logits
    keep = np.ones(logits.values.shape, dtype=np.bool_)
    for index, row in enumerate(rows):
        if row is not None:
            keep[index] = row if logits.token_ids is None else row[logits.token_ids]
    return Logits(mx.where(mx.array(keep), logits.values, -mx.inf), logits.token_ids)


def starved_rows(masked: Logits, rows: Sequence[Allowed | None]) -> list[int]:
    """Return the constrained rows of which no candidate is left; none if the whole vocabulary was scored.

    Rows of a batch may each have candidates of their own, so that only the values tell.

    Args:
        masked: what `mask_logits` gave for the rows.
        rows: B of them; None: the row is free.
    """
    if masked.token_ids is None or all(row is None for row in rows):
        return []
    best: Any = masked.values.max(axis=-1).tolist()
    return [index for index, row in enumerate(rows) if row is not None and best[index] == -np.inf]


def _reason(error: str) -> str:
    """Return what llguidance says, in one line for a person."""
    lines = error.splitlines() or [""]
    if lines[0].startswith("panic"):
        return "it is too large."
    if lines[0].startswith("regex parse error"):
        lines[0] = f"pattern: {lines[-1].removeprefix('error: ')}"
    return lines[0].split(". Enable ")[0][:_MAX_MESSAGE_CHARS]
