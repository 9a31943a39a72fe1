"""Print what a constraint costs: compiling it, its mask for every token, and its part of a decode step.

    python -m benchmarks.constraint_cost                    masks alone
    python -m benchmarks.constraint_cost --checkpoint DIR   and the steps of a model, such as make_checkpoint's proportioned

The turns are given, not sampled: the same tokens whatever the model is.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import mlx.core as mx

from jupyter_mlx_gpt_oss.harmony.encoding import CALL, CHANNEL, CONSTRAIN, END, MESSAGE, RETURN, START, encode
from jupyter_mlx_gpt_oss.harmony.grammar import turn_grammar
from jupyter_mlx_gpt_oss.vocabulary import NUM_TOKENS
from jupyter_mlx_gpt_oss.worker.constraint import Allowed, Constraint, ConstraintFactory, mask_logits
from jupyter_mlx_gpt_oss.worker.head import Logits
from jupyter_mlx_gpt_oss.worker.model_loader import load, prepare_device
from jupyter_mlx_gpt_oss.worker.model_step import Row, forward, make_caches

_SCHEMA = {
    "type": "object",
    "properties": {
        "location": {"type": "string", "description": "City"},
        "days": {"type": "array", "items": {"type": "string", "format": "date"}},
        "unit": {"enum": ["celsius", "fahrenheit"]},
    },
    "required": ["location", "days"],
    "additionalProperties": False,
}
_BODY = encode(
    '{"location": "San Francisco, California", "days": ["2026-11-23", "2026-11-24"], "unit": "celsius"}'
)
_ANALYSIS = encode(
    "The user wants the weather of two days, so I need the forecast and a date for each of them. " * 3
)
_THOUGHT = [CHANNEL, *encode("analysis"), MESSAGE, *_ANALYSIS, END, START, *encode("assistant")]
_CALL = [CHANNEL, *encode("commentary to=functions.f0 "), CONSTRAIN, *encode("json"), MESSAGE, *_BODY, CALL]
_JSON = [CHANNEL, *encode("final"), MESSAGE, *_BODY, RETURN]
_TEXT = [CHANNEL, *encode("final"), MESSAGE, *_ANALYSIS, RETURN]
_async_eval: Any = mx.async_eval  # untyped in mlx


def _tools(count: int) -> list[dict[str, Any]]:
    return [
        {"type": "function", "function": {"name": f"f{index}", "strict": True, "parameters": _SCHEMA}}
        for index in range(count)
    ]


_CASES: dict[str, tuple[dict[str, Any], list[int]]] = {
    "2 tools, a text answer": ({"tools": _tools(2)}, [*_THOUGHT, *_TEXT]),
    "2 tools, a call": ({"tools": _tools(2)}, [*_THOUGHT, *_CALL]),
    "20 tools, a call": ({"tools": _tools(20)}, [*_THOUGHT, *_CALL]),
    "json_schema": (
        {"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": _SCHEMA}}},
        [*_THOUGHT, *_JSON],
    ),
}


def _timed(action: Callable[..., Any], *arguments: Any) -> float:
    """Return milliseconds."""
    start = time.perf_counter()
    action(*arguments)
    return (time.perf_counter() - start) * 1e3


def _put_on(logits: Logits, allowed: Allowed) -> None:
    mx.eval(mask_logits(logits, [allowed]).values)


def _mask_costs(constraint: Constraint, completion: list[int]) -> tuple[list[float], list[float]]:
    """Return, for every token of a turn, what its mask costs, and what putting it on the logits costs."""
    logits = Logits(mx.zeros((1, NUM_TOKENS)), None)
    masks, puts = [], []
    for token_id in completion:
        masks.append(_timed(constraint.allowed))
        allowed = constraint.allowed()
        puts.append(_timed(_put_on, logits, allowed))
        constraint.accept(token_id)
    return masks, puts


def _print_masks(factory: ConstraintFactory) -> None:
    print(f"{'ms':26}{'compile':>9}{'mask p50':>10}{'mean':>8}{'p99':>8}{'max':>8}{'put on':>9}")
    for name, (fields, completion) in _CASES.items():
        grammar = turn_grammar(**fields)
        assert grammar is not None
        compiling = min(_timed(factory.compile, grammar) for _ in range(3))
        masks, puts = _mask_costs(factory.compile(grammar), completion)
        ordered = sorted(masks)
        figures = (
            statistics.median(masks),
            statistics.mean(masks),
            ordered[int(len(ordered) * 0.99)],
            max(masks),
        )
        print(
            f"{name:26}{compiling:9.2f}{figures[0]:10.3f}{figures[1]:8.3f}{figures[2]:8.2f}{figures[3]:8.2f}"
            f"{statistics.median(puts):9.3f}"
        )


class _Decoding:
    """A batch of rows that all decode the same given turn."""

    def __init__(self, loaded: Any, constraints: list[Constraint | None]) -> None:
        self._loaded = loaded
        self._constraints = constraints
        self._caches = [make_caches(loaded.model) for _ in constraints]

    def step(self, token_id: int, following: int) -> None:
        """Compute a token's logits, put the masks on them, draw greedily; go on as if `following` had been drawn."""
        hidden = forward(self._loaded.model, [Row([token_id], cache) for cache in self._caches])
        logits = self._loaded.head(hidden, [(START,) for _ in self._constraints])
        _async_eval(logits.values)  # the masks are made meanwhile
        masks = [constraint.allowed() if constraint else None for constraint in self._constraints]
        mx.eval(mx.argmax(mask_logits(logits, masks).values, axis=-1))
        for constraint in self._constraints:
            if constraint:
                constraint.accept(following)


def _print_steps(factory: ConstraintFactory, directory: str, num_rows: int) -> None:
    prepare_device()
    loaded = load(directory, None, lambda _: None)
    print(f"\n{Path(directory).name}, {num_rows} rows: ms of a step, lower quartile over a turn")
    for name, (fields, completion) in _CASES.items():
        grammar = turn_grammar(**fields)
        assert grammar is not None
        free = _Decoding(loaded, [None] * num_rows)
        held = _Decoding(loaded, [factory.compile(grammar) for _ in range(num_rows)])
        costs: tuple[list[float], list[float]] = ([], [])
        for index, (token_id, following) in enumerate(pairwise([START, *completion])):
            # In turns, and each first as often as the other: the machine's load hits both alike.
            for side in (0, 1) if index % 2 else (1, 0):
                costs[side].append(_timed((free, held)[side].step, token_id, following))
        before, after = (statistics.quantiles(side, n=4)[0] for side in costs)
        print(
            f"{name:26} free {before:8.2f}   constrained {after:8.2f}   {(after / before - 1) * 100:+6.1f} %"
        )


def main() -> None:
    """Measure masks, and steps where a checkpoint is given."""
    parser = argparse.ArgumentParser(description="What constrained decoding costs.")
    parser.add_argument("--checkpoint", help="a directory")
    parser.add_argument("--rows", type=int, default=1, help="answers that decode together")
    arguments = parser.parse_args()
    factory = ConstraintFactory(NUM_TOKENS)
    print(f"tokenizer: {_timed(factory.prepare) / 1e3:.2f} s, once for each model")
    _print_masks(factory)
    if arguments.checkpoint:
        _print_steps(factory, arguments.checkpoint, arguments.rows)


if __name__ == "__main__":
    main()
