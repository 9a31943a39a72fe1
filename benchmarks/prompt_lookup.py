"""Measure what guessing from the prompt gives: answers that repeat it, with and without, in turns.

    python -m benchmarks.prompt_lookup [--model demo] [--rounds 3]

A lone greedy stream each; the tokens are the same on both sides, or this program fails. `tokens a step` counts the steps of the
model; it is the same on every machine, and what a machine can gain at the most.
"""

import argparse
import asyncio
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.results import keep
from jupyter_mlx_gpt_oss.engine.config import EngineConfig
from jupyter_mlx_gpt_oss.engine.engine_process import EngineProcess
from jupyter_mlx_gpt_oss.engine.request import GenerationRequest, TokenOutput
from jupyter_mlx_gpt_oss.engine.sampling import SamplingParams
from jupyter_mlx_gpt_oss.harmony import STOP_TOKEN_IDS, render_chat
from jupyter_mlx_gpt_oss.harmony.grammar import turn_grammar

_CODE = """def mean(values):
    total = 0
    for value in values:
        total = total + value
    return total / len(values)
"""
_PEOPLE = {
    "type": "object",
    "properties": {
        "people": {
            "type": "array",
            "minItems": 4,
            "maxItems": 4,
            "items": {
                "type": "object",
                "properties": {
                    "first_name": {"enum": ["Ada", "Alan", "Grace"]},
                    "is_retired": {"type": "boolean"},
                    "favourite_colour": {"enum": ["red", "green", "blue"]},
                },
                "required": ["first_name", "is_retired", "favourite_colour"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["people"],
    "additionalProperties": False,
}
_TOOL = {
    "type": "function",
    "function": {"name": "store_people", "description": "Store.", "strict": True, "parameters": _PEOPLE},
}


@dataclass(frozen=True, slots=True)
class Case:
    """A question whose answer repeats."""

    name: str
    text: str
    grammar_fields: dict[str, Any]


CASES = (
    Case("tool arguments", "Store four people.", {"tools": [_TOOL], "tool_choice": "required"}),
    Case(
        "JSON",
        "Name four people.",
        {"response_format": {"type": "json_schema", "json_schema": {"name": "people", "schema": _PEOPLE}}},
    ),
    Case("code", f"Repeat this code:\n```python\n{_CODE}```", {}),
    Case("prose", "Tell me a story.", {}),
)
"""The last repeats nothing: what guessing costs where it does not help."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer, and how it came."""

    token_ids: tuple[int, ...]
    num_steps: int
    tokens_per_second: float
    """From the first token on."""


async def _ask(engine: EngineProcess, case: Case, name: str) -> Answer:
    request = GenerationRequest(
        request_id=name,
        prompt_token_ids=tuple(
            render_chat(
                [{"role": "user", "content": case.text}], current_date="2026-11-23", **case.grammar_fields
            )
        ),
        max_tokens=250,
        stop_token_ids=STOP_TOKEN_IDS,
        grammar=turn_grammar(**case.grammar_fields) if case.grammar_fields else None,
        sampling=SamplingParams(temperature=0.0),
    )
    token_ids: list[int] = []
    num_steps, first = 0, 0.0
    async for item in engine.generate(request):
        if isinstance(item, TokenOutput):
            first = first or time.perf_counter()
            token_ids += item.token_ids
            num_steps += 1
    rate = (len(token_ids) - 1) / (time.perf_counter() - first)
    return Answer(tuple(token_ids), num_steps, rate)


async def _measure(model: str, rounds: int) -> dict[str, dict[str, float]]:
    plain = EngineProcess(EngineConfig(model=model, prompt_lookup_tokens=0))
    guessing = EngineProcess(EngineConfig(model=model))
    found: dict[str, dict[str, float]] = {}
    try:
        for case in CASES:
            without, with_it = [], []
            for number in range(rounds + 1):  # the first reads the prompt, and compiles the grammar
                without.append(await _ask(plain, case, f"{case.name}-{number}"))
                with_it.append(await _ask(guessing, case, f"{case.name}-{number}"))
            assert {each.token_ids for each in without} == {each.token_ids for each in with_it}
            slow = statistics.median(each.tokens_per_second for each in without[1:])
            fast = statistics.median(each.tokens_per_second for each in with_it[1:])
            num_tokens = len(with_it[0].token_ids)
            found[case.name] = {
                "tokens": num_tokens,
                "tokens a step": num_tokens / statistics.median(each.num_steps for each in with_it[1:]),
                "tok/s without": slow,
                "tok/s with": fast,
                "ratio": fast / slow,
            }
            print(
                f"{case.name:16}" + "".join(f"{value:15.2f}" for value in found[case.name].values()),
                flush=True,
            )
    finally:
        await asyncio.gather(plain.stop(), guessing.stop())
    return found


def main() -> None:
    """Measure what the command line names, print a table and keep it as JSON."""
    parser = argparse.ArgumentParser(description="Answers that repeat, with and without guessing.")
    parser.add_argument("--model", default="demo")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    columns = ("tokens", "tokens a step", "tok/s without", "tok/s with", "ratio")
    print(f"{'':16}" + "".join(f"{column:>15}" for column in columns))
    found = asyncio.run(_measure(arguments.model, arguments.rounds))
    keep("prompt_lookup", {f"{Path(arguments.model).name} {name}": each for name, each in found.items()})


if __name__ == "__main__":
    main()
