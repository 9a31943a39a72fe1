"""GPT-OSS at hidden size 192 in PyTorch: the architecture of mlx-lm's gpt_oss, differentiable, with code embeddings.

Knows nothing of the corpus. Shapes: N tokens in one line, M of them with a token to predict, hidden 192; in attention
alone R rows of Q queries and K keys. Mathematics as in mlx_lm/models/gpt_oss.py.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from typing_extensions import override

from jupyter_mlx_gpt_oss.demo.codes import CODE_BITS

_EXPONENT_BITS = 0x7F80_0000  # of a float32


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """Sizes of the model; the names are those of a gpt_oss config.json where it has them."""

    hidden_size: int = 192
    num_layers: int = 4
    num_heads: int = 4
    num_kv_heads: int = 4
    head_dim: int = 64
    intermediate_size: int = 128
    num_experts: int = 4
    experts_per_token: int = 2
    sliding_window: int = 128
    rms_norm_eps: float = 1e-5
    rope_theta: float = 150_000.0
    yarn_factor: float = 32.0
    yarn_beta_fast: float = 32.0
    yarn_beta_slow: float = 1.0
    original_context: int = 4096
    swiglu_limit: float = 7.0
    num_classes: int = 10


@dataclass(frozen=True, slots=True)
class AttentionRows:
    """The shape of some rows of attention of like length, R of Q queries and K keys, and what they may look at.

    Attributes:
        num_rows: R.
        num_queries: Q.
        num_keys: K.
        visible: 0 where a query may look, minus infinity elsewhere, (R, 1, heads a key head serves * Q, K).
        window: the same within the sliding window.
    """

    num_rows: int
    num_queries: int
    num_keys: int
    visible: Tensor
    window: Tensor


@dataclass(frozen=True, slots=True)
class Layout:
    """All rows of attention of a layer, and where their queries, keys and answers stand.

    Attributes:
        rows: groups of rows.
        queries: the tokens that ask, row by row, (sum of R * Q,); they count the tokens that ask.
        keys: the tokens that are looked at, row by row, (sum of R * K,).
        answers: where each token's answer stands in `queries`, (N,) or (M,).
        asking: the tokens that ask, (M,), or None for all.
    """

    rows: list[AttentionRows]
    queries: Tensor
    keys: Tensor
    answers: Tensor
    asking: Tensor | None = None

    def asked(self, x: Tensor) -> Tensor:
        """Return what of x, (N, ...), belongs to the tokens that ask, (M, ...)."""
        return x if self.asking is None else x.index_select(0, self.asking)


def attention_rows(distances: Tensor, config: ModelConfig) -> AttentionRows:
    """Return rows for `distances` (R, Q, K) from each query back to each key, negative where it may not look."""
    repeats = config.num_heads // config.num_kv_heads

    def mask(is_visible: Tensor) -> Tensor:
        alone = torch.zeros(is_visible.shape).masked_fill_(~is_visible, float("-inf"))[:, None]
        return alone.repeat(1, 1, repeats, 1)

    may_look = distances >= 0
    return AttentionRows(
        *distances.shape, visible=mask(may_look), window=mask(may_look & (distances < config.sliding_window))
    )


def yarn_wavelengths(config: ModelConfig) -> tuple[Tensor, float]:
    """Return the rotary wavelengths over 2 pi, shape (head_dim / 2,), and the factor for cosine and sine.

    As mlx-lm's YarnRoPE computes them: the correction range is floored and ceiled.
    """
    dims, base = config.head_dim, config.rope_theta

    def correction(rotations: float) -> float:
        return dims * math.log(config.original_context / (rotations * 2 * math.pi)) / (2 * math.log(base))

    low = max(math.floor(correction(config.yarn_beta_fast)), 0)
    high = min(math.ceil(correction(config.yarn_beta_slow)), dims - 1)
    plain = base ** (torch.arange(0, dims, 2, dtype=torch.float64) / dims)
    stretched = config.yarn_factor * plain
    ramp = ((torch.arange(dims // 2, dtype=torch.float64) - low) / max(high - low, 0.001)).clamp(0, 1)
    mixed = (stretched * plain) / (stretched * (1 - ramp) + plain * ramp)
    return mixed.float(), 0.1 * math.log(config.yarn_factor) + 1.0


class SinkAttention(torch.autograd.Function):
    """Flash attention with sinks: a sink is one more key whose value is zero.

    The flash kernel's backward pass is exact when it is given the output and log-sum-exp that include the sink.
    """

    @staticmethod
    @override
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, sinks: Tensor, mask: Tensor) -> Tensor:
        """Return the attention's output; q (R, heads, Q, head_dim), k and v (R, heads, K, head_dim), sinks (heads, Q)."""
        flash = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu  # noqa: SLF001
        scale = 1 / math.sqrt(q.shape[-1])
        plain, log_sum = flash(q, k, v, dropout_p=0.0, is_causal=False, attn_mask=mask, scale=scale)
        with_sink = torch.logaddexp(log_sum, sinks)
        out: Tensor = plain * (log_sum - with_sink).exp()[..., None]
        ctx.save_for_backward(q, k, v, out, with_sink, sinks)
        ctx.mask = mask
        return out

    @staticmethod
    @override
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, None]:
        """Return the gradients of q, k, v and the sinks."""
        q, k, v, out, with_sink, sinks = ctx.saved_tensors
        flash = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward  # noqa: SLF001
        scale = 1 / math.sqrt(q.shape[-1])
        grad_q, grad_k, grad_v = flash(
            grad, q, k, v, out, with_sink, dropout_p=0.0, is_causal=False, attn_mask=ctx.mask, scale=scale
        )
        share = (sinks - with_sink).exp()
        return grad_q, grad_k, grad_v, -(share * (grad * out).sum(-1)).sum(0), None


class Rotation(torch.autograd.Function):
    """Rotary positions: the gradient is rotated back."""

    @staticmethod
    @override
    def forward(ctx: Any, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Return x (N, heads * head_dim), rotated by cos and sin (N, 1, head_dim / 2)."""
        ctx.save_for_backward(cos, sin)
        return _rotated(x, cos, sin)

    @staticmethod
    @override
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        """Return the gradient of x."""
        cos, sin = ctx.saved_tensors
        return _rotated(grad, cos, -sin), None, None


def _rotated(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    heads = x.reshape(len(x), -1, 2, cos.shape[-1])
    first, second = heads[:, :, 0], heads[:, :, 1]
    out = torch.empty_like(heads)
    torch.mul(first, cos, out=out[:, :, 0]).addcmul_(second, sin, value=-1)
    torch.mul(second, cos, out=out[:, :, 1]).addcmul_(first, sin)
    return out.view(x.shape)


def round_to_mxfp4(weight: Tensor) -> Tensor:
    """Round to MXFP4 in groups of 32 on the last axis; the gradient passes straight through.

    Adding and taking away a number whose float32 neighbours are a step of FP4 apart rounds to that step: 0.5 below 2, then
    1, and 2 from 4 on.
    """
    with torch.no_grad():
        groups = weight.reshape(*weight.shape[:-1], -1, 32)
        largest = groups.abs().amax(-1, keepdim=True).clamp_min(1e-12)
        scale = torch.exp2(torch.round(torch.log2(largest / 6.0)).clamp(-127, 127))  # as mx.quantize
        size = (groups * (1 / scale)).clamp_(-6.0, 6.0)
        power_of_two = size.view(torch.int32).bitwise_and(_EXPONENT_BITS).view(torch.float32)
        anchor = power_of_two.clamp_min_(1.0).mul_(1.5 * 2**22)
        rounded = size.add_(anchor).sub_(anchor).mul_(scale).reshape(weight.shape)
    return weight + (rounded - weight).detach()


class Attention(nn.Module):
    """Grouped-query attention with sinks; every other layer sees a sliding window."""

    def __init__(self, config: ModelConfig, index: int) -> None:
        super().__init__()
        hidden = config.hidden_size
        self.config, self.is_sliding = config, index % 2 == 0
        self.q_proj = nn.Linear(hidden, config.num_heads * config.head_dim)
        self.k_proj = nn.Linear(hidden, config.num_kv_heads * config.head_dim)
        self.v_proj = nn.Linear(hidden, config.num_kv_heads * config.head_dim)
        self.o_proj = nn.Linear(config.num_heads * config.head_dim, hidden)
        self.sinks = nn.Parameter(torch.zeros(config.num_heads))
        for linear in (self.q_proj, self.k_proj, self.v_proj, self.o_proj):
            nn.init.normal_(linear.weight, std=0.8 / linear.in_features**0.5)
            nn.init.zeros_(linear.bias)
        with torch.no_grad():
            self.o_proj.weight.mul_(0.5 / config.num_layers**0.5)

    @override
    def forward(self, x: Tensor, rope: tuple[Tensor, Tensor], layout: Layout) -> Tensor:
        """Return the attention of the tokens of x (N, hidden) that ask."""
        rotate: Callable[..., Tensor] = Rotation.apply
        k, v = rotate(self.k_proj(x), *rope), self.v_proj(x)
        q = rotate(self.q_proj(layout.asked(x)), *map(layout.asked, rope))
        q = q.index_select(0, layout.queries)
        k, v = (y.index_select(0, layout.keys) for y in (k, v))
        queries = q.split([rows.num_rows * rows.num_queries for rows in layout.rows])
        sizes = [rows.num_rows * rows.num_keys for rows in layout.rows]
        parts = zip(queries, k.split(sizes), v.split(sizes), layout.rows, strict=True)
        flat = torch.cat([self._attend(*part) for part in parts])
        projected: Tensor = self.o_proj(flat.index_select(0, layout.answers))
        return projected

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, rows: AttentionRows) -> Tensor:
        """Return what queries see, (R * Q, heads * head_dim); q has that shape, k and v (R * K, kv_heads * head_dim).

        The query heads that share a key head stand after each other as its queries.
        """
        config = self.config
        repeats = config.num_heads // config.num_kv_heads
        grouped = (rows.num_rows, rows.num_queries, config.num_kv_heads, repeats, config.head_dim)
        queries = q.view(grouped).permute(0, 2, 3, 1, 4).flatten(2, 3)
        keys, values = (
            y.view(rows.num_rows, rows.num_keys, config.num_kv_heads, config.head_dim)
            .transpose(1, 2)
            .contiguous()
            for y in (k, v)
        )
        sinks = self.sinks.repeat_interleave(rows.num_queries).view(config.num_kv_heads, -1)
        attend: Callable[..., Tensor] = SinkAttention.apply
        out = attend(queries, keys, values, sinks, rows.window if self.is_sliding else rows.visible)
        out = out.unflatten(2, (repeats, rows.num_queries)).permute(0, 3, 1, 2, 4)
        return out.reshape(rows.num_rows * rows.num_queries, -1)


class Experts(nn.Module):
    """A mixture of experts with clamped SwiGLU, in MXFP4 when `is_quantised`."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        hidden, inner, experts = config.hidden_size, config.intermediate_size, config.num_experts
        self.config = config
        self.router = nn.Linear(hidden, experts)
        nn.init.normal_(self.router.weight, std=0.8 / hidden**0.5)
        nn.init.zeros_(self.router.bias)
        down_scale = 0.4 / inner**0.5 / config.num_layers**0.5
        self.gate_proj = nn.Parameter(torch.randn(experts, inner, hidden) * 0.7 / hidden**0.5)
        self.up_proj = nn.Parameter(torch.randn(experts, inner, hidden) * 0.7 / hidden**0.5)
        self.down_proj = nn.Parameter(torch.randn(experts, hidden, inner) * down_scale)
        self.gate_bias = nn.Parameter(torch.zeros(experts, inner))
        self.up_bias = nn.Parameter(torch.zeros(experts, inner))
        self.down_bias = nn.Parameter(torch.zeros(experts, hidden))

    @override
    def forward(self, x: Tensor, *, is_quantised: bool) -> tuple[Tensor, Tensor]:
        """Return the output for x (tokens, hidden), and the loss that balances the experts."""
        config = self.config
        logits = self.router(x)
        top, chosen = logits.topk(config.experts_per_token, -1)
        shares = top.softmax(-1)
        weights: list[Tensor] = [self.gate_proj, self.up_proj, self.down_proj]
        if is_quantised:
            weights = [round_to_mxfp4(weight) for weight in weights]
        out, used = torch.zeros_like(x), []
        for expert in range(config.num_experts):
            rows, slots = (chosen == expert).nonzero(as_tuple=True)
            used.append(len(rows) / len(x))
            if len(rows):
                y = self._expert(x.index_select(0, rows), expert, weights)
                out = out.index_add(0, rows, y * shares[rows, slots][:, None])
        balance = (logits.softmax(-1).mean(0) * torch.tensor(used)).sum()
        return out, balance * config.num_experts / config.experts_per_token

    def _expert(self, x: Tensor, expert: int, weights: list[Tensor]) -> Tensor:
        limit = self.config.swiglu_limit
        gate = functional.linear(x, weights[0][expert], self.gate_bias[expert]).clamp(max=limit)
        up = functional.linear(x, weights[1][expert], self.up_bias[expert]).clamp(-limit, limit)
        return functional.linear(
            (up + 1) * (gate * torch.sigmoid(1.702 * gate)), weights[2][expert], self.down_bias[expert]
        )


class Layer(nn.Module):
    """Attention and experts, each after a norm and added to the stream."""

    def __init__(self, config: ModelConfig, index: int) -> None:
        super().__init__()
        self.input_norm = nn.Parameter(torch.ones(config.hidden_size))
        self.post_norm = nn.Parameter(torch.ones(config.hidden_size))
        self.attention, self.experts = Attention(config, index), Experts(config)
        self.eps = config.rms_norm_eps

    @override
    def forward(
        self, x: Tensor, rope: tuple[Tensor, Tensor], layout: Layout, *, is_quantised: bool
    ) -> tuple[Tensor, Tensor]:
        """Return the layer's output for the tokens that ask, (N, hidden) or (M, hidden), and the balance loss."""
        hidden = x.shape[-1:]
        x = layout.asked(x) + self.attention(
            functional.rms_norm(x, hidden, self.input_norm, self.eps), rope, layout
        )
        y, balance = self.experts(
            functional.rms_norm(x, hidden, self.post_norm, self.eps), is_quantised=is_quantised
        )
        return x + y, balance


class TinyGptOss(nn.Module):
    """The model: code embeddings plus rows of their own for trained tokens.

    A token's embedding is `code @ in_codes + in_classes[class]` plus its row of `in_rows`, or `in_default` where it
    has none. The head's rows are made likewise from `out_codes`, `out_classes`, `out_rows`, `out_default`.
    """

    def __init__(self, config: ModelConfig, num_trained: int) -> None:
        super().__init__()
        hidden = config.hidden_size
        basis, _ = torch.linalg.qr(torch.randn(hidden, hidden))
        self.config = config
        self.in_codes = nn.Parameter(basis[:CODE_BITS] * hidden**0.5 * 0.8)
        self.in_classes = nn.Parameter(torch.randn(config.num_classes, hidden) * 0.2)
        self.in_default = nn.Parameter(torch.randn(hidden) * 0.2)
        self.in_rows = nn.Parameter(torch.randn(num_trained, hidden) * 0.25)
        self.out_codes = nn.Parameter(basis[CODE_BITS : 2 * CODE_BITS].clone())
        self.out_classes = nn.Parameter(torch.randn(config.num_classes, hidden) * 0.02)
        self.out_default = nn.Parameter(torch.zeros(hidden))
        self.out_rows = nn.Parameter(torch.randn(num_trained, hidden) * 0.03)
        self.norm = nn.Parameter(torch.ones(hidden))
        self.blocks = [Layer(config, index) for index in range(config.num_layers)]
        self.layers = nn.ModuleList(self.blocks)
        self._wavelengths, self._rope_factor = yarn_wavelengths(config)
        self.reads, self.writes, self.notes = basis[: 3 * CODE_BITS].split(CODE_BITS)

    @override
    def forward(
        self,
        codes: Tensor,
        classes: Tensor,
        rows: Tensor,
        positions: Tensor,
        inner: Layout,
        last: Layout,
        *,
        is_quantised: bool,
    ) -> tuple[Tensor, Tensor]:
        """Return the normed last states of the tokens that ask in the last layer, (M, hidden), and the balance loss.

        Args:
            codes: unit codewords, (N, CODE_BITS).
            classes: classes of the leading character, (N,).
            rows: index into the trained rows, -1 for tokens without one, (N,).
            positions: places of the tokens in their conversations, (N,).
            inner: where attention finds the tokens, in all layers but the last.
            last: the same in the last layer.
            is_quantised: round the experts to MXFP4.
        """
        own = torch.where((rows >= 0)[:, None], self.in_rows[rows.clamp_min(0)], self.in_default)
        x = codes @ self.in_codes + self.in_classes[classes] + own
        angles = positions[:, None, None] / self._wavelengths
        rope = (angles.cos() * self._rope_factor, angles.sin() * self._rope_factor)
        total = torch.zeros(())
        for layer in self.blocks:
            layout = last if layer is self.blocks[-1] else inner
            x, balance = layer(x, rope, layout, is_quantised=is_quantised)
            total = total + balance
        return functional.rms_norm(x, (self.config.hidden_size,), self.norm, self.config.rms_norm_eps), total
