"""One forward pass over a ragged batch: chunks of sequences to the hidden rows that they sample from.

Every dense operation runs on one flattened token axis, attention alone runs for each sequence, on that sequence's own
caches. So decode rows and prefill chunks share a pass, nothing is padded, and a sequence can join, leave or fail
without touching another's caches. Computes and never decides.

All that is touched of mlx-lm's gpt_oss modules is touched here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import mlx.core as mx


@dataclass(frozen=True, slots=True)
class Row:
    """The next tokens of one sequence, and its caches: one for each layer, all at the same offset."""

    token_ids: Sequence[int] | mx.array
    """On the device where they were drawn and nobody has read them yet."""
    caches: list[Any]
    num_outputs: int = 1
    """How many of the last tokens are asked what follows them."""


def make_caches(model: Any) -> list[Any]:
    """Return empty caches for one sequence: whole for full attention, a ring of W tokens for sliding layers."""
    caches: list[Any] = model.make_cache()
    return caches


def forward(model: Any, rows: Sequence[Row]) -> mx.array:
    """Compute the rows, which extends their caches.

    Args:
        model: mlx-lm's gpt_oss Model.
        rows: at least one, each with at least one token.

    Returns:
        (B, H): the normalised hidden states of the last num_outputs tokens of each row. Lazy.
    """
    body = model.model
    ends = _ends(rows)
    hidden = body.embed_tokens(_token_axis(rows))[None]  # (1, N, H): the experts' block counts its axes
    positions = mx.array(
        [row.caches[0].offset + i for row in rows for i in range(len(row.token_ids))], dtype=mx.int32
    )
    masks = {
        "full_attention": [_mask(row, body.ga_idx, None) for row in rows],
        "sliding_attention": [_mask(row, body.swa_idx, body.window_size) for row in rows],
    }
    for index, (layer, layer_type) in enumerate(zip(body.layers, body.layer_types, strict=True)):
        caches = [row.caches[index] for row in rows]
        attended = _attend(
            layer.self_attn,
            layer.input_layernorm(hidden),
            positions,
            ends,
            list(zip(caches, masks[layer_type], strict=True)),
        )
        hidden = hidden + attended
        hidden = hidden + layer.mlp(layer.post_attention_layernorm(hidden))
    outputs = [
        end - back for row, end in zip(rows, ends, strict=True) for back in range(row.num_outputs, 0, -1)
    ]
    tokens = hidden[0]
    normed: mx.array = body.norm(tokens if len(outputs) == len(tokens) else tokens[mx.array(outputs)])
    return normed


def _token_axis(rows: Sequence[Row]) -> mx.array:
    """(N,): the rows' tokens, one row behind the other."""
    if not any(isinstance(row.token_ids, mx.array) for row in rows):
        return mx.array([token_id for row in rows for token_id in row.token_ids])
    tokens = [row.token_ids for row in rows]
    return mx.concatenate([each if isinstance(each, mx.array) else mx.array(list(each)) for each in tokens])


def _ends(rows: Sequence[Row]) -> list[int]:
    """Return where each row ends on the flattened token axis."""
    ends, end = [], 0
    for row in rows:
        end += len(row.token_ids)
        ends.append(end)
    return ends


def _mask(row: Row, layer: int, window_size: int | None) -> Any:
    return row.caches[layer].make_mask(len(row.token_ids), window_size=window_size, return_array=False)


def _attend(
    attention: Any, x: mx.array, positions: mx.array, ends: list[int], caches: list[tuple[Any, Any]]
) -> mx.array:
    """Return (1, N, H): every token attends to its own sequence.

    Args:
        attention: mlx-lm's AttentionBlock.
        x: (1, N, H).
        positions: (N,), each token's place in its sequence.
        ends: where each sequence ends on the N axis.
        caches: the layer's cache and mask of each sequence.
    """
    num_tokens, head_size = x.shape[1], attention.head_dim
    # Each token is a batch row of length 1, so that one rope call turns all of them, each by its own position.
    queries = attention.rope(attention.q_proj(x).reshape(num_tokens, -1, 1, head_size), offset=positions)
    keys = attention.rope(attention.k_proj(x).reshape(num_tokens, -1, 1, head_size), offset=positions)
    values = attention.v_proj(x).reshape(num_tokens, -1, 1, head_size)
    attended = []
    parts = ([each] if len(ends) == 1 else mx.split(each, ends[:-1]) for each in (queries, keys, values))
    for q, k, v, (cache, mask) in zip(*parts, caches, strict=True):
        seen_keys, seen_values = cache.update_and_fetch(_turned(k), _turned(v))
        out = mx.fast.scaled_dot_product_attention(
            _turned(q), seen_keys, seen_values, scale=attention.sm_scale, mask=mask, sinks=attention.sinks
        )
        attended.append(_turned(out))
    whole = attended[0] if len(attended) == 1 else mx.concatenate(attended)
    projected: mx.array = attention.o_proj(whole.reshape(1, num_tokens, -1))
    return projected


def _turned(x: mx.array) -> mx.array:
    """(n, heads, 1, D) to (1, heads, n, D), as caches and attention take it, or back; one token is both."""
    return x if x.shape[0] == x.shape[2] else x.transpose(2, 1, 0, 3)
