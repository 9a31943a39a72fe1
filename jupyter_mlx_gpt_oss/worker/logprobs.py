"""Logits and sampled tokens to log probabilities, for the rows that ask for them."""

import math
from collections.abc import Sequence
from typing import Any

import mlx.core as mx
import numpy as np

from jupyter_mlx_gpt_oss.engine.request import TokenLogprobs
from jupyter_mlx_gpt_oss.errors import GenerationError
from jupyter_mlx_gpt_oss.worker.head import Logits


def token_logprobs(
    logits: Logits, tokens: Sequence[int], wanted: Sequence[int | None]
) -> list[tuple[TokenLogprobs, ...]]:
    """Return, for each row, its token's log probability and the likeliest tokens'; nothing for rows that want none.

    Args:
        logits: of the step, as they came from the head.
        tokens: what was sampled, one a row.
        wanted: how many of the likeliest tokens each row wants; None: no log probabilities.

    Raises:
        GenerationError: a row's are not numbers, as a broken kernel or an overflow has it.
    """
    asking = [row for row, count in enumerate(wanted) if count is not None]
    if not asking:
        return [() for _ in tokens]
    values = logits.values[mx.array(asking)].astype(mx.float32)
    normalised = values - mx.logsumexp(values, axis=-1, keepdims=True)
    most = max(count or 0 for count in wanted)
    best = mx.argsort(-normalised, axis=-1)[:, :most] if most else mx.zeros((len(asking), 0), mx.uint32)
    best_values = mx.take_along_axis(normalised, best, axis=-1)
    columns = mx.array([[_column(logits, tokens[row])] for row in asking])
    chosen = mx.take_along_axis(normalised, columns, axis=-1)
    mx.eval(best, best_values, chosen)
    reports: list[tuple[TokenLogprobs, ...]] = [() for _ in tokens]
    for place, row in enumerate(asking):
        count = wanted[row] or 0
        ids: Any = best[place, :count].tolist()
        values_list: Any = best_values[place, :count].tolist()
        top = tuple(
            (_token_id(logits, column), value) for column, value in zip(ids, values_list, strict=True)
        )
        own: Any = chosen[place, 0].item()
        if math.isnan(own):
            raise GenerationError(
                "The model's log probabilities are not numbers: it cannot be computed on this device."
            )
        reports[row] = (TokenLogprobs(min(own, 0.0), top),)
    return reports


def _column(logits: Logits, token_id: int) -> int:
    return token_id if logits.token_ids is None else int(np.searchsorted(logits.token_ids, token_id))


def _token_id(logits: Logits, column: int) -> int:
    return column if logits.token_ids is None else int(logits.token_ids[column])
