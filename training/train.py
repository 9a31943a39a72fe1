"""Train the model from nothing on a corpus, for a number of tokens, on two processes of one thread each.

Usage: python -m training.train --data CORPUS.npz... --out MODEL.pt [--tokens 15e6]
"""

import argparse
import math
import os
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.multiprocessing
from torch import Tensor

from jupyter_mlx_gpt_oss.demo.codes import base_token_ids, leading_classes, unit_codes
from jupyter_mlx_gpt_oss.vocabulary import NUM_TOKENS
from training.circuits import set_copying_heads
from training.data import Arrangement, Batch, Corpus
from training.exchange import Exchange, Memory
from training.model import Layout, ModelConfig, TinyGptOss, attention_rows
from training.optimizer import Optimizer

_NUM_DRAWN = 384  # rare tokens beside those present, for the softmax
_RARE_WEIGHT = 2.0
_WARM_STEPS = 60
_CIRCUIT_STEPS = 500  # in which what copies comes to its full rate
_REPORT_STEPS = 50
_SAVE_STEPS = 500


@dataclass(frozen=True, slots=True)
class Plan:
    """How to train; `progress` goes from 0 to 1 over the tokens."""

    data: tuple[Path, ...]
    out: Path
    tokens: float
    batch_tokens: int
    repetition_steps: int
    quantise_from: float
    min_count: int
    num_processes: int
    init: Path | None
    decay_from: float
    peak_rate: float
    end_rate: float
    seed: int

    def rate(self, step: int, progress: float) -> float:
        """Return the factor of the learning rates: a warm-up, a plateau, a line down."""
        left = (1 - progress) / max(1 - self.decay_from, 1e-9)
        rate = self.end_rate + (self.peak_rate - self.end_rate) * max(0.0, min(1.0, left))
        return rate * min(1.0, (step + 1) / _WARM_STEPS)

    def circuit_share(self, step: int) -> float:
        """Return the share of the rates for what copies: none of it moves until the common words are learned.

        With the whole rate from the start copying is unlearned within 100 steps, and takes a million tokens to come back.
        """
        if self.init:
            return 1.0
        return min(1.0, max(0.0, (step - self.repetition_steps) / _CIRCUIT_STEPS))


@dataclass(frozen=True, slots=True)
class Loss:
    """The loss to minimise, and shares of tokens predicted right: all, and those without rows of their own."""

    total: Tensor
    accuracy: float
    rare_accuracy: float


class Objective:
    """The loss of a batch: softmax over the trained rows, the rare tokens present, their twins, and a sample.

    Twins share a codeword and differ in their leading character (`Ada`, ` Ada`). Without them in the softmax nothing
    teaches the model whether a copied word needs a space.
    """

    def __init__(self, model: TinyGptOss, corpus: Corpus, rng: np.random.Generator) -> None:
        self._model, self._rng = model, rng
        self._codes = torch.from_numpy(unit_codes(np.arange(NUM_TOKENS)))
        self._classes = torch.from_numpy(leading_classes())
        self._trained = torch.from_numpy(corpus.trained_ids)
        self._rare_ids = corpus.rare_ids
        self._rows = torch.full((NUM_TOKENS,), -1, dtype=torch.long)
        self._rows[self._trained] = torch.arange(len(self._trained))
        bases = base_token_ids()
        self._bases = torch.from_numpy(bases)
        self._by_base = torch.from_numpy(np.argsort(bases, kind="stable"))
        self._num_twins = torch.from_numpy(np.bincount(bases, minlength=NUM_TOKENS))
        self._first_twin = torch.cumsum(self._num_twins, 0) - self._num_twins

    def __call__(self, batch: Batch, *, is_quantised: bool) -> Loss:
        """Return the loss of `batch`."""
        inputs, targets = torch.from_numpy(batch.token_ids), torch.from_numpy(batch.targets)
        inner, last = self._layout(batch.inner), self._layout(batch.last, torch.from_numpy(batch.predicting))
        states, balance = self._model(
            self._codes[inputs],
            self._classes[inputs],
            self._rows[inputs],
            torch.from_numpy(batch.positions),
            inner,
            last,
            is_quantised=is_quantised,
        )
        logits, drawn, wanted, labels = self._logits(states, inputs, targets)
        log_sums = torch.logaddexp(torch.logsumexp(logits, -1), torch.logsumexp(drawn, -1))
        each = log_sums - wanted
        is_rare = self._rows[targets] < 0
        weights = torch.from_numpy(batch.weights).float().clamp_min(_RARE_WEIGHT * is_rare.float())
        total = (
            (each * weights).sum() / weights.sum()
            + 3e-4 * (log_sums**2).mean()
            + 0.01 * balance / self._model.config.num_layers
        )
        right = (logits.detach().argmax(-1) == labels).float()
        rare = float(right[is_rare].mean()) if bool(is_rare.any()) else float("nan")
        return Loss(total, float(right.mean()), rare)

    def _layout(self, arrangement: Arrangement, asking: Tensor | None = None) -> Layout:
        rows = arrangement.rows
        groups = [attention_rows(torch.from_numpy(each.distances), self._model.config) for each in rows]
        queries, keys = (
            np.concatenate([each.reshape(-1) for each in side])
            for side in (
                [each.queries for each in rows],
                [each.keys for each in rows],
            )
        )
        return Layout(
            groups,
            torch.from_numpy(queries),
            torch.from_numpy(keys),
            torch.from_numpy(arrangement.answers),
            asking,
        )

    def _logits(
        self, states: Tensor, inputs: Tensor, targets: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return logits (M, rows), those of the tokens that were drawn (M, drawn), the targets' and their columns (M,)."""
        trained = self._trained
        present = self._with_twins(torch.unique(torch.cat([targets, inputs])))
        drawn = torch.from_numpy(self._rng.choice(self._rare_ids, _NUM_DRAWN))
        head = torch.cat([self._head(trained) + self._model.out_rows, self._rare_head(present)])
        stands_for = math.log(len(self._rare_ids) / _NUM_DRAWN)  # each stands for many
        drawn_logits = states @ self._rare_head(drawn).T + stands_for
        drawn_logits = drawn_logits.masked_fill(drawn[None] == targets[:, None], float("-inf"))
        columns = self._rows.clone()
        columns[present] = torch.arange(len(present)) + len(trained)
        labels = columns[targets]
        wanted = (states * head.index_select(0, labels)).sum(
            -1
        )  # its gradient is less work than that of a gather
        return states @ head.T, drawn_logits, wanted, labels

    def _head(self, token_ids: Tensor) -> Tensor:
        """Return what the tokens' codewords and leading characters give of their rows of the head."""
        model = self._model
        return self._codes[token_ids] @ model.out_codes + model.out_classes[self._classes[token_ids]]

    def _rare_head(self, token_ids: Tensor) -> Tensor:
        return self._head(token_ids) + self._model.out_default

    def _with_twins(self, present: Tensor) -> Tensor:
        """Return the rare ones of the tokens `present` and of those that share a codeword with one of them."""
        bases = torch.unique(self._bases[present])
        counts = self._num_twins[bases]
        starts = torch.repeat_interleave(self._first_twin[bases] - (torch.cumsum(counts, 0) - counts), counts)
        twins = self._by_base[starts + torch.arange(len(starts))]
        return twins[self._rows[twins] < 0]


class Run:
    """One process's part of a training run."""

    def __init__(self, plan: Plan, exchange: Exchange) -> None:
        self._plan, self._rank, self._exchange = plan, exchange.rank, exchange
        torch.manual_seed(0)
        torch.set_num_threads(1)
        torch.set_flush_denormal(True)
        self._rng = np.random.default_rng([plan.seed, self._rank])
        state = torch.load(plan.init, weights_only=False) if plan.init else None
        self._corpus = Corpus(list(plan.data), plan.min_count, state and state["trained_ids"])
        self._model = TinyGptOss(ModelConfig(), len(self._corpus.trained_ids))
        if state:
            self._model.load_state_dict(state["model"])
        else:
            set_copying_heads(self._model)
        self._objective = Objective(self._model, self._corpus, self._rng)
        self._optimizer = Optimizer(self._model, exchange)
        self._started = time.monotonic()
        self._log: list[tuple[float, float, float]] = []

    def train(self) -> None:
        """Train until the tokens are used up."""
        plan = self._plan
        self._report(
            f"{len(self._corpus.lengths)} families, {len(self._corpus.token_ids)} tokens, {len(self._corpus.trained_ids)} trained rows"
        )
        shared = np.random.default_rng(plan.seed)
        batches = self._corpus.batches(shared, plan.batch_tokens, self._rank, plan.num_processes)
        step, progress, num_tokens = 0, 0.0, 0
        while progress < 1:
            is_repetition = step < plan.repetition_steps
            batch = self._corpus.repetition_batch(self._rng) if is_repetition else next(batches)
            loss = self._objective(batch, is_quantised=progress > plan.quantise_from)
            self._optimizer.clear()
            torch.autograd.backward(loss.total / plan.num_processes)
            num_tokens += batch.token_ids.size * plan.num_processes
            progress = self._sum_gradients(num_tokens / plan.tokens / plan.num_processes)
            rate = plan.rate(step, progress)
            self._optimizer.step(rate, rate * plan.circuit_share(step))
            self._log.append((loss.total.item(), loss.accuracy, loss.rare_accuracy))
            step += 1
            if step % _REPORT_STEPS == 0:
                total, accuracy, rare = np.nanmean(np.array(self._log[-_REPORT_STEPS:]), axis=0)
                self._report(
                    f"step {step} {progress:.1%} {num_tokens / 1e6:.2f}M tokens "
                    f"{num_tokens / (time.monotonic() - self._started):.0f}/s "
                    f"loss {total:.4f} right {accuracy:.4f} rare {rare:.4f}"
                )
            if step % _SAVE_STEPS == 0:
                self._save()
        self._save()

    def _sum_gradients(self, progress: float) -> float:
        """Add up the gradients of all processes, and return the sum of their progress, the same for all."""
        parameters = list(self._model.parameters())
        for parameter in parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        flat = self._exchange.sum([*gradients, torch.tensor([progress])])
        offset = 0
        for parameter in parameters:
            parameter.grad = flat[offset : offset + parameter.numel()].view_as(parameter)
            offset += parameter.numel()
        return float(flat[-1])

    def _save(self) -> None:
        if self._rank == 0:
            state = {"model": self._model.state_dict(), "trained_ids": self._corpus.trained_ids}
            partial = self._plan.out.with_suffix(".partial")
            torch.save(state, partial)
            partial.replace(self._plan.out)

    def _report(self, line: str) -> None:
        if self._rank == 0:
            print(line, flush=True)


def _run(rank: int, plan: Plan, memory: Memory) -> None:
    Run(plan, Exchange(memory, rank)).train()


def parse_plan(arguments: list[str] | None = None) -> Plan:
    """Return the plan that the command line gives."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", nargs="+", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--tokens", type=float, default=15e6)
    parser.add_argument("--batch-tokens", type=int, default=1280)
    parser.add_argument("--repetition-steps", type=int, default=100)
    parser.add_argument(
        "--quantise-from", type=float, default=0.0, help="progress at which MXFP4 rounding begins"
    )
    parser.add_argument(
        "--min-count", type=int, default=170, help="occurrences that give a token rows of its own"
    )
    parser.add_argument("--num-processes", type=int, default=2)
    parser.add_argument(
        "--decay-from", type=float, default=0.0, help="progress at which the rates begin to fall"
    )
    parser.add_argument(
        "--peak-rate", type=float, default=1.0, help="of all rates, the share that they come to"
    )
    parser.add_argument("--end-rate", type=float, default=0.01, help="the share that they fall to")
    parser.add_argument("--seed", type=int, default=0, help="of the batches")
    parser.add_argument("--init", type=Path, help="a model to go on from; its trained rows are kept")
    options = vars(parser.parse_args(arguments))
    return Plan(**{**options, "data": tuple(options["data"])})


def train(plan: Plan) -> None:
    """Train on as many processes of their own as the plan says."""
    # Large pages for large tensors make a step 8 % shorter; glibc reads this when a process starts.
    os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", GLIBC_TUNABLES="glibc.malloc.hugetlb=1")
    num_processes = plan.num_processes
    torch.multiprocessing.spawn(_run, (plan, Memory(num_processes)), nprocs=num_processes)


if __name__ == "__main__":
    train(parse_plan())
