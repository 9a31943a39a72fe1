"""Muon for the attention's matrices, AdamW for everything else, and one schedule for both.

Source: K. Jordan, Muon (https://kellerjordan.github.io/posts/muon/): momentum, orthogonalised by Newton-Schulz steps.
"""

import torch
from torch import Tensor

from training.exchange import Exchange
from training.model import TinyGptOss

_MUON_RATE = 0.015
_MUON_MOMENTUM = 0.95
_MUON_DECAY = 0.01
_NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)


class Optimizer:
    """Steps all parameters of a model."""

    def __init__(self, model: TinyGptOss, exchange: Exchange) -> None:
        self._exchange = exchange
        matrices = [layer.attention for layer in model.blocks]
        self._matrices = [
            linear.weight for a in matrices for linear in (a.q_proj, a.k_proj, a.v_proj, a.o_proj)
        ]
        rows = [model.in_rows, model.out_rows]
        classes = [model.in_classes, model.in_default, model.out_classes, model.out_default]
        codes = [model.in_codes, model.out_codes]
        codes += [
            each
            for a in matrices
            for each in (a.q_proj.bias, a.k_proj.bias, a.v_proj.bias, a.o_proj.bias, a.sinks)
        ]
        apart = {id(parameter) for parameter in [*self._matrices, *rows, *classes, *codes]}
        others = [parameter for parameter in model.parameters() if id(parameter) not in apart]
        self._clipped = [*rows, *classes, *codes, *others]
        groups = [
            {"params": rows, "lr": 6e-3, "base_lr": 6e-3},
            {"params": others, "lr": 3e-3, "base_lr": 3e-3},
            {"params": classes, "lr": 8e-3, "base_lr": 8e-3},
            {"params": codes, "lr": 3e-3, "base_lr": 3e-3, "is_circuit": True},
        ]
        self._adam = torch.optim.AdamW(groups, betas=(0.9, 0.98), weight_decay=0.0, eps=1e-10, fused=True)
        self._hidden, self._head_dim = model.config.hidden_size, model.config.head_dim
        self._momenta = [torch.zeros_like(parameter) for parameter in self._matrices]

    def clear(self) -> None:
        """Drop all gradients."""
        self._adam.zero_grad(set_to_none=True)
        for parameter in self._matrices:
            parameter.grad = None

    def step(self, rate: float, circuit_rate: float) -> None:
        """Take one step; `circuit_rate` scales the learning rates of what copies, `rate` all others."""
        torch.nn.utils.clip_grad_norm_(self._clipped, 1.0)
        for group in self._adam.param_groups:
            group["lr"] = group["base_lr"] * (circuit_rate if group.get("is_circuit") else rate)
        self._adam.step()
        self._step_matrices(_MUON_RATE * circuit_rate)

    @torch.no_grad()
    def _step_matrices(self, rate: float) -> None:
        """Step each head's part of the attention's matrices by itself, which is as good, and less work."""
        updates: list[Tensor] = []
        for parameter, momentum in zip(self._matrices, self._momenta, strict=True):
            assert parameter.grad is not None
            momentum.mul_(_MUON_MOMENTUM).add_(parameter.grad)
            updates.append(self._heads(parameter.grad.add(momentum, alpha=_MUON_MOMENTUM)))
        counts = [len(update) for update in updates]
        together = self._orthogonalise_all(torch.cat(updates)).split(counts)
        for parameter, update in zip(self._matrices, together, strict=True):
            heads = self._heads(parameter)
            heads.mul_(1 - rate * _MUON_DECAY).add_(update, alpha=-rate)

    def _orthogonalise_all(self, matrices: Tensor) -> Tensor:
        """Orthogonalise matrices (count, rows, columns); each process takes its share of them."""
        rank, count = self._exchange.rank, self._exchange.memory.num_processes
        shares = torch.zeros_like(matrices)
        shares[rank::count] = _orthogonalise(matrices[rank::count])
        return self._exchange.sum([shares]).view_as(matrices)

    def _heads(self, matrix: Tensor) -> Tensor:
        """Return what of a matrix belongs to each head, (heads, head_dim, hidden); its memory is the matrix's."""
        parts = matrix if matrix.shape[1] == self._hidden else matrix.T
        return parts.unflatten(0, (-1, self._head_dim))


def _orthogonalise(matrices: Tensor) -> Tensor:
    """Return the nearest half-orthogonal matrices, roughly; shape (count, rows, columns), no more rows than columns."""
    x = matrices / (matrices.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    a, b, c = _NEWTON_SCHULZ
    for _ in range(5):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x
