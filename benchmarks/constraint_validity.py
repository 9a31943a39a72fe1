"""Count how many answers keep to what they are held to, at a temperature at which the model says anything.

    python -m benchmarks.constraint_validity [--count 1000] [--kinds required,json_schema] [--temperature 1.5] [--model demo]

The engine is a real one, with its worker; the answers are whole chat completions, judged by a program that knows nothing
of the grammar: Python's json, jsonschema, and one expression for the turn as sampled. An answer that the limit cut is
counted apart, because nothing was promised of it. Every invalid one is printed. Exits with 1 if there is one.
"""

import argparse
import asyncio
import itertools
import sys
import time
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from benchmarks.constraint_kinds import KINDS, Kind, fault_in_turn
from jupyter_mlx_gpt_oss.engine.base import Engine, EngineStatus, ModelInfo
from jupyter_mlx_gpt_oss.engine.config import EngineConfig
from jupyter_mlx_gpt_oss.engine.engine_process import EngineProcess
from jupyter_mlx_gpt_oss.engine.request import GenerationRequest, Progress, TokenOutput
from jupyter_mlx_gpt_oss.protocol.chat_completions import ChatCompletionRequest
from jupyter_mlx_gpt_oss.serving.chat_completions import ChatCompletions
from jupyter_mlx_gpt_oss.serving.config import ServingConfig
from jupyter_mlx_gpt_oss.serving.service import Service

_MAX_TOKENS = 256
_CONCURRENCY = 32
_MAX_ATTEMPTS = 5  # for each answer wanted: so many may be cut
_TOPICS = ("Paris", "a cat", "my order 7", "the sea", "tomorrow", "Ada, 36", "x = 3", "日本", "nothing", "{}")


class RecordingEngine:
    """The engine, whose turns are kept as sampled until they are asked for."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._turns: dict[str, list[int]] = {}

    def take_turn(self, request_id: str) -> list[int]:
        """Return a turn, up to where it was ended."""
        return self._turns.pop(request_id)

    def status(self) -> EngineStatus:
        """See `Engine.status`."""
        return self._engine.status()

    async def load(self, model: str | None = None) -> ModelInfo:
        """See `Engine.load`."""
        return await self._engine.load(model)

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[Progress | TokenOutput, None]:
        """See `Engine.generate`."""
        turn = self._turns[request.request_id] = []
        async for item in self._engine.generate(request):
            if isinstance(item, TokenOutput):
                turn += item.token_ids
            yield item

    def abort(self, request_id: str) -> None:
        """See `Engine.abort`."""
        self._engine.abort(request_id)

    def precompute(self, prompt_token_ids: tuple[int, ...]) -> None:
        """Drop it: no request here goes on from another."""

    async def unload(self) -> None:
        """See `Engine.unload`."""
        await self._engine.unload()

    async def stop(self) -> None:
        """See `Engine.stop`."""
        await self._engine.stop()


@dataclass(slots=True)
class Tally:
    """What came of one kind."""

    num_valid: int = 0
    num_cut: int = 0
    num_tokens: int = 0
    faults: list[str] = field(default_factory=list)
    ends: Counter[str] = field(default_factory=Counter)
    """How the valid ones ended."""

    @property
    def num_whole(self) -> int:
        """Answers that the model ended itself."""
        return self.num_valid + len(self.faults)


async def count_valid(
    chat: ChatCompletions, engine: RecordingEngine, kind: Kind, count: int, temperature: float
) -> Tally:
    """Ask until so many answers were whole, or so many more were cut.

    Args:
        chat: what answers, with `engine` behind it.
        engine: gives the turns as sampled.
        kind: what the answers are held to.
        count: of whole answers.
        temperature: of all of them.
    """
    tally = Tally()
    seeds = itertools.count()

    async def keep_asking() -> None:
        while tally.num_whole < count and (seed := next(seeds)) < count * _MAX_ATTEMPTS:
            await _ask_once(chat, engine, kind, _body(kind, seed, temperature), tally)

    await asyncio.gather(*(keep_asking() for _ in range(min(_CONCURRENCY, count))))
    return tally


def _body(kind: Kind, seed: int, temperature: float) -> dict[str, Any]:
    return {
        "messages": [{"role": "user", "content": _TOPICS[seed % len(_TOPICS)]}],
        "temperature": temperature,
        "seed": seed,
        "max_tokens": _MAX_TOKENS,
        "reasoning_effort": "low" if seed % 4 == 0 else "none",
        **kind.fields(seed),
    }


async def _ask_once(
    chat: ChatCompletions, engine: RecordingEngine, kind: Kind, body: dict[str, Any], tally: Tally
) -> None:
    request = ChatCompletionRequest.model_validate(body)
    *_, answer = [item async for item in chat.complete(request)]
    assert not isinstance(answer, Progress)
    turn = engine.take_turn(answer.id)
    choice = answer.choices[0]
    tally.num_tokens += len(turn)
    is_cut = choice.finish_reason == "length"
    if is_cut:
        tally.num_cut += 1
        fault = None if len(turn) == _MAX_TOKENS else f"is cut after {len(turn)} tokens"
    else:
        opened = chat.prompts.prompt(request).opened
        fault = fault_in_turn([*opened, *turn]) or kind.fault(body, choice)
    if fault:
        tally.faults.append(f"seed {body['seed']}: {fault}: {choice.to_json()}")
    elif not is_cut:
        tally.num_valid += 1
        tally.ends[choice.finish_reason] += 1


def _print_row(name: str, tally: Tally, seconds: float) -> None:
    ends = ", ".join(f"{count} {reason}" for reason, count in tally.ends.most_common())
    print(
        f"{name:20}{tally.num_valid:7}{len(tally.faults):9}{tally.num_cut:7}{tally.num_tokens:9}{seconds:7.0f}   {ends}",
        flush=True,
    )
    for fault in tally.faults:
        print(f"    {fault}", flush=True)


@asynccontextmanager
async def opened(model: str) -> AsyncIterator[tuple[ChatCompletions, RecordingEngine]]:
    """Start a model's engine when it is first asked; yield what answers, and the engine behind it."""
    config = EngineConfig(model=model, max_running_requests=_CONCURRENCY, max_waiting_requests=_CONCURRENCY)
    engine = RecordingEngine(EngineProcess(config))
    service = Service(
        make_engine=lambda: engine, config=ServingConfig(), model_name=model, version="benchmark"
    )
    try:
        yield await service.chat_completions("benchmark"), engine
    finally:
        await service.stop()


async def _measure(arguments: argparse.Namespace, kinds: Iterator[Kind]) -> bool:
    is_valid = True
    heads = f"{'held to':20}{'valid':>7}{'invalid':>9}{'cut':>7}{'tokens':>9}{'s':>7}"
    print(f"{heads}   the valid ones ended with", flush=True)
    async with opened(arguments.model) as (chat, engine):
        for kind in kinds:
            start = time.perf_counter()
            tally = await count_valid(chat, engine, kind, arguments.count, arguments.temperature)
            _print_row(kind.name, tally, time.perf_counter() - start)
            is_valid = is_valid and not tally.faults
    return is_valid


def main() -> None:
    """Measure every kind, or those that are named."""
    parser = argparse.ArgumentParser(description="How many constrained answers are valid.")
    parser.add_argument("--count", type=int, default=1_000, help="whole answers of each kind")
    parser.add_argument("--kinds", default=",".join(KINDS), help="some of them, with commas")
    parser.add_argument("--temperature", type=float, default=1.5)
    parser.add_argument("--model", default="demo")
    arguments = parser.parse_args()
    kinds = (KINDS[name] for name in arguments.kinds.split(","))
    sys.exit(not asyncio.run(_measure(arguments, kinds)))


if __name__ == "__main__":
    main()
