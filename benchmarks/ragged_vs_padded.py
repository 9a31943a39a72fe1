"""Measure a decode step of our ragged batch against mlx-lm's padded one: same weights, same process, in turns.

    python -m benchmarks.ragged_vs_padded [--checkpoint DIR]... [--batches 1,4,8] [--context 200] [--steps 20]

Both sides compute the same step: B sequences of one length, one token each, the full head (each side its own) and an argmax. They take turns step
by step, so that the machine's load hits both alike, and lower quartiles are compared. `build` is the time that Python takes to
put the step together, counted by the processor; it is a part of the step only where nothing else is computed meanwhile.

Equal lengths are the padded side's best case: it computes no padding then, and copies nothing since nobody joins or leaves.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import mlx.core as mx
from mlx_lm.models.cache import BatchKVCache, BatchRotatingKVCache

from benchmarks.make_checkpoint import make_checkpoint
from benchmarks.results import OUT, keep
from jupyter_mlx_gpt_oss import demo
from jupyter_mlx_gpt_oss.worker.head import Head
from jupyter_mlx_gpt_oss.worker.model_loader import load, prepare_device
from jupyter_mlx_gpt_oss.worker.model_step import Row, forward, make_caches

_CHUNK = 128

Build = Callable[[], mx.array]
"""Puts together one step; returns its tokens, not evaluated."""


@dataclass(frozen=True, slots=True)
class Figures:
    """Milliseconds of a step, lower quartiles."""

    checkpoint: str
    batch: int
    ragged: float
    padded: float
    ragged_build: float
    padded_build: float

    @property
    def ratio(self) -> float:
        """Below 1: ragged is faster."""
        return self.ragged / self.padded


def _ragged(model: Any, head: Head, batch: int, context: int) -> Build:
    caches = [make_caches(model) for _ in range(batch)]
    for each in caches:
        for start in range(0, context, _CHUNK):
            mx.eval(forward(model, [Row(_prompt(context)[start : start + _CHUNK], each)]))

    def build() -> mx.array:
        return mx.argmax(head(forward(model, [Row([7], each) for each in caches]), []).values, axis=-1)

    return build


def _padded(model: Any, batch: int, context: int) -> Build:
    if batch == 1:
        caches = model.make_cache()  # as stream_generate has it
    else:
        padding, window = [0] * batch, model.args.sliding_window
        caches = [
            BatchKVCache(padding) if kind == "full_attention" else BatchRotatingKVCache(window, padding)
            for kind in model.model.layer_types
        ]
    for start in range(0, context, _CHUNK):
        mx.eval(model(mx.array([_prompt(context)[start : start + _CHUNK]] * batch), cache=caches))

    def build() -> mx.array:
        return mx.argmax(model(mx.array([[7]] * batch), cache=caches)[:, -1], axis=-1)

    return build


def _prompt(length: int) -> list[int]:
    return [index * 31 % 1000 for index in range(length)]


def _step(build: Build) -> tuple[float, float]:
    """Return milliseconds of the step, and of putting it together."""
    start, started = time.perf_counter(), time.thread_time()
    tokens = build()
    built = time.thread_time() - started
    mx.eval(tokens)
    return 1e3 * (time.perf_counter() - start), 1e3 * built


def _measure(directory: Path, batch: int, context: int, steps: int) -> Figures:
    loaded = load(str(directory), None, lambda _: None)
    sides = (_ragged(loaded.model, loaded.head, batch, context), _padded(loaded.model, batch, context))
    seen: tuple[list[tuple[float, float]], list[tuple[float, float]]] = ([], [])
    for number in range(steps):
        for side in (0, 1) if number % 2 else (1, 0):
            seen[side].append(_step(sides[side]))
    (ragged, ragged_build), (padded, padded_build) = (
        [statistics.quantiles(column, n=4)[0] for column in zip(*side, strict=True)] for side in seen
    )
    return Figures(directory.name, batch, ragged, padded, ragged_build, padded_build)


def main() -> None:
    """Measure what the command line names, print a table and keep it as JSON."""
    parser = argparse.ArgumentParser(description="A ragged decode step against a padded one.")
    parser.add_argument("--checkpoint", action="append", type=Path, help="a directory; may be repeated")
    parser.add_argument("--batches", default="1,4,8")
    parser.add_argument("--context", type=int, default=200, help="tokens before the measured steps")
    parser.add_argument("--steps", type=int, default=20)
    arguments = parser.parse_args()
    prepare_device()
    checkpoints = arguments.checkpoint or [
        demo.unfold(OUT / "demo"),
        make_checkpoint("proportioned", OUT / "proportioned"),
    ]
    print(f"{'ms':16}{'batch':>6}{'ragged':>10}{'padded':>10}{'ratio':>8}{'build r':>10}{'build p':>10}")
    for directory in checkpoints:
        for batch in map(int, arguments.batches.split(",")):
            seen = _measure(directory, batch, arguments.context, arguments.steps)
            print(
                f"{seen.checkpoint:16}{batch:6}{seen.ragged:10.2f}{seen.padded:10.2f}{seen.ratio:8.2f}"
                f"{seen.ragged_build:10.2f}{seen.padded_build:10.2f}",
                flush=True,
            )
            told = {**asdict(seen), "ratio": seen.ratio, "context": arguments.context}
            keep("ragged_vs_padded", {f"{seen.checkpoint} {batch}": told})


if __name__ == "__main__":
    main()
