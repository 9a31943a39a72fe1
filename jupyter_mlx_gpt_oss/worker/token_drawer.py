"""Hidden rows to the tokens of their sequences, each within its own grammar where it has one.

Owned by the worker's main thread.
"""

from collections import Counter
from typing import Any

import mlx.core as mx
import numpy as np

from jupyter_mlx_gpt_oss.engine.request import TokenLogprobs
from jupyter_mlx_gpt_oss.engine.sampling import SamplingParams
from jupyter_mlx_gpt_oss.worker.constraint import Allowed, mask_logits, starved_rows
from jupyter_mlx_gpt_oss.worker.head import FullHead, Logits
from jupyter_mlx_gpt_oss.worker.logprobs import token_logprobs
from jupyter_mlx_gpt_oss.worker.model_loader import LoadedModel
from jupyter_mlx_gpt_oss.worker.sampler import SamplingRow, sample
from jupyter_mlx_gpt_oss.worker.sequence import Sequence

Drawn = dict[Sequence, tuple[int, tuple[TokenLogprobs, ...]]]
"""The token of every sequence, with its log probabilities where it wants them."""


class TokenDrawer:
    """Scores, masks and samples.

    Args:
        loaded: the model; its head may score a part of the vocabulary.
    """

    def __init__(self, loaded: LoadedModel) -> None:
        self._head = loaded.head
        self._full_head = loaded.head if isinstance(loaded.head, FullHead) else FullHead(loaded.model)

    def draw(self, hidden: mx.array, sequences: list[Sequence]) -> Drawn:
        """Draw the next token of each sequence.

        Args:
            hidden: (B, H), one row a sequence.
            sequences: B of them.

        Raises:
            InvalidRequestError: a grammar cannot be kept to any further.
        """
        logits = self._head(hidden, [sequence.head_context for sequence in sequences])
        begin_eval: Any = mx.async_eval  # its type stubs lack it
        begin_eval(logits.values)  # the masks are made meanwhile
        masks = [None if each.constraint is None else each.constraint.allowed() for each in sequences]
        rows = [_sampling_row(sequence, []) for sequence in sequences]
        tokens, starved = self._sample(hidden, logits, masks, rows)
        wanted = [sequence.request.num_logprobs for sequence in sequences]
        within = [None if index in starved else count for index, count in enumerate(wanted)]
        logprobs = token_logprobs(logits, tokens, within)
        for index in starved:
            full = self._full_head(hidden[index : index + 1], [])
            logprobs[index] = token_logprobs(full, [tokens[index]], [wanted[index]])[0]
        return dict(zip(sequences, zip(tokens, logprobs, strict=True), strict=True))

    def begin(self, hidden: mx.array, sequences: list[Sequence], num_unread: int) -> mx.array:
        """Begin to draw the next token of each sequence, and do not wait for it.

        Args:
            hidden: (B, H), one row a sequence; need not be evaluated.
            sequences: B of them, each free.
            num_unread: tokens of each that are drawn and not yet appended.

        Returns:
            (B,) int32. Lazy.
        """
        logits = self._head(hidden, [sequence.head_context for sequence in sequences])
        tokens = sample(logits, [_sampling_row(sequence, [], num_unread) for sequence in sequences])
        begin_eval: Any = mx.async_eval  # as in draw
        begin_eval(tokens)
        return tokens

    def check_draft(self, hidden: mx.array, sequence: Sequence, draft: list[int]) -> list[int]:
        """Return the drafted tokens that are drawn anyway, and the token behind them.

        Args:
            hidden: (len(draft) + 1, H), of the last token and of each drafted one.
            sequence: that they continue.
            draft: at least one token.
        """
        num_rows = len(draft) + 1
        masks: list[Allowed | None] = [None] * num_rows
        if sequence.constraint is not None:
            along = sequence.constraint.allowed_along(draft)
            num_rows, masks = len(along), list(along)
        logits = self._head(hidden[:num_rows], [sequence.head_context] * num_rows)
        rows = [_sampling_row(sequence, draft[:count]) for count in range(num_rows)]
        drawn, _ = self._sample(hidden[:num_rows], logits, masks, rows)
        num_right = 0
        while num_right < num_rows - 1 and drawn[num_right] == draft[num_right]:
            num_right += 1
        return drawn[: num_right + 1]

    def _sample(
        self, hidden: mx.array, logits: Logits, masks: list[Allowed | None], rows: list[SamplingRow]
    ) -> tuple[list[int], list[int]]:
        """Return a token for each row, and the rows whose token is none of the head's."""
        masked = mask_logits(logits, masks)
        tokens: Any = sample(masked, rows).tolist()
        # A head that scores a part of the vocabulary may have nothing that a grammar allows: those rows alone are scored
        # over all of it, so that the others draw what they would have drawn without them.
        starved = starved_rows(masked, masks)
        if starved:
            full = self._full_head(hidden[mx.array(starved)], [])
            again: Any = sample(
                mask_logits(full, [masks[index] for index in starved]), [rows[index] for index in starved]
            ).tolist()
            for index, token in zip(starved, again, strict=True):
                tokens[index] = token
        return [int(token) for token in np.asarray(tokens)], starved


def is_free(sequence: Sequence) -> bool:
    """Whether a sequence's tokens can be drawn unseen: the model alone decides them, and nothing else is asked of them."""
    is_alone = sequence.constraint is None and sequence.request.num_logprobs is None
    return (
        is_alone
        and not _counts_tokens(sequence.request.sampling)
        and not _looks_back(sequence.request.sampling)
    )


def _counts_tokens(sampling: SamplingParams) -> bool:
    return bool(sampling.presence_penalty or sampling.frequency_penalty)


def _looks_back(sampling: SamplingParams) -> bool:
    return sampling.repetition_penalty != 1.0


def _sampling_row(sequence: Sequence, draft: list[int], num_unread: int = 0) -> SamplingRow:
    """Return what a sequence's next token is drawn by, behind a draft or unread tokens where there are some."""
    sampling = sequence.request.sampling
    size = sampling.repetition_context_size
    recent = [*sequence.token_ids[-size:], *draft][-size:] if _looks_back(sampling) else []
    return SamplingRow(
        sampling=sampling,
        position=sequence.num_output_tokens + len(draft) + num_unread,
        output_counts=sequence.output_counts + Counter(draft) if _counts_tokens(sampling) else {},
        recent_token_ids=recent,
    )
