"""Muon for the attention's matrices, AdamW for everything else, and one schedule for both.

Source: K. Jordan, Muon (https://kellerjordan.github.io/posts/muon/): momentum, orthogonalised by Newton-Schulz steps.
"""

import torch
import torch.distributed
from torch import Tensor

from training.model import TinyGptOss

_MUON_RATE = 0.02
_MUON_MOMENTUM = 0.95
_MUON_DECAY = 0.01
_NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)


class Optimizer:
    """Steps all parameters of a model."""

    def __init__(self, model: TinyGptOss) -> None:
        matrices = [layer.attention for layer in model.blocks]
        self._matrices = [
            linear.weight for a in matrices for linear in (a.q_proj, a.k_proj, a.v_proj, a.o_proj)
        ]
        rows = [model.in_rows, model.out_rows]
        classes = [model.in_classes, model.in_default, model.out_classes, model.out_default]
        apart = {id(parameter) for parameter in [*self._matrices, *rows, *classes]}
        others = [parameter for parameter in model.parameters() if id(parameter) not in apart]
        self._clipped = [*rows, *classes, *others]
        groups = [
            {"params": rows, "lr": 6e-3, "base_lr": 6e-3},
            {"params": others, "lr": 3e-3, "base_lr": 3e-3},
            {"params": classes, "lr": 8e-3, "base_lr": 8e-3},
        ]
        self._adam = torch.optim.AdamW(groups, betas=(0.9, 0.98), weight_decay=0.0, eps=1e-10, fused=True)
        self._momenta = [torch.zeros_like(parameter) for parameter in self._matrices]

    def clear(self) -> None:
        """Drop all gradients."""
        self._adam.zero_grad(set_to_none=True)
        for parameter in self._matrices:
            parameter.grad = None

    def step(self, rate: float) -> None:
        """Take one step; `rate` scales every learning rate."""
        torch.nn.utils.clip_grad_norm_(self._clipped, 1.0)
        for group in self._adam.param_groups:
            group["lr"] = group["base_lr"] * rate
        self._adam.step()
        self._step_matrices(_MUON_RATE * rate)

    @torch.no_grad()
    def _step_matrices(self, rate: float) -> None:
        by_shape: dict[torch.Size, list[tuple[Tensor, Tensor]]] = {}
        for parameter, momentum in zip(self._matrices, self._momenta, strict=True):
            assert parameter.grad is not None
            momentum.mul_(_MUON_MOMENTUM).add_(parameter.grad)
            update = parameter.grad.add(momentum, alpha=_MUON_MOMENTUM)
            by_shape.setdefault(parameter.shape, []).append((parameter, update))
        stacks = [torch.stack([update for _, update in pairs]) for pairs in by_shape.values()]
        for pairs, updates in zip(by_shape.values(), _orthogonalise_all(stacks), strict=True):
            rows, columns = updates.shape[1:]
            stretch = max(1, rows / columns) ** 0.5
            for (parameter, _), update in zip(pairs, updates, strict=True):
                parameter.mul_(1 - rate * _MUON_DECAY).add_(update, alpha=-rate * stretch)


def _orthogonalise_all(stacks: list[Tensor]) -> list[Tensor]:
    """Orthogonalise the matrices of each stack (count, rows, columns); each process takes its share of them."""
    if not torch.distributed.is_initialized():
        return [_orthogonalise(stack) for stack in stacks]
    rank, count = torch.distributed.get_rank(), torch.distributed.get_world_size()
    shares = [torch.zeros_like(stack) for stack in stacks]
    for share, stack in zip(shares, stacks, strict=True):
        share[rank::count] = _orthogonalise(stack[rank::count])
    flat = torch.cat([share.reshape(-1) for share in shares])
    torch.distributed.all_reduce(flat)
    parts = flat.split([share.numel() for share in shares])
    return [part.view_as(share) for part, share in zip(parts, shares, strict=True)]


def _orthogonalise(matrices: Tensor) -> Tensor:
    """Return the nearest half-orthogonal matrices, roughly; shape (count, rows, columns)."""
    is_tall = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.mT if is_tall else matrices
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    a, b, c = _NEWTON_SCHULZ
    for _ in range(5):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    result: Tensor = x.mT if is_tall else x
    return result
