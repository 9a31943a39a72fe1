"""Count the prompt tokens that conversations compute, against the least that an exact engine can.

    python -m benchmarks.prefill_tokens [--model demo] [--scenarios chat,loop,...] [--think 2]

The whole serving room runs in this process, over a real engine; nothing is timed, so the counts are the same on every machine.
The conversations are those of benchmarks.conversations. There are two ways to count what is read ahead while the engine is idle,
and both are printed:

    waited      what requests computed while somebody waited, over the ideal: a prompt without the longest prefix that an earlier
                request, or what was read ahead, has computed; at least one token
    in all      the same with everything that was read ahead added, over the ideal without reading ahead: above 1 as far as it
                was in vain. One that a request cut short counts as if it had been read to its end

`path MB` is what the distinct tokens take by arithmetic: keys and values of the full layers, and the windows of the sliding ones
that the prefix cache keeps of a path. Over that: `cache` is what the prefix cache holds at the end, `grown` what MLX holds more than
without any conversation, once the last answer is over, `running` the same while the last answer was being written, with a copy of its own. Where
branches have windows of their own, all of them are more than one path.
"""

import argparse
import asyncio
import itertools
import json
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any

from typing_extensions import override

from benchmarks.conversations import TALKS, Message, Send, user
from benchmarks.results import keep
from jupyter_mlx_gpt_oss import demo
from jupyter_mlx_gpt_oss.engine.base import EngineStatus
from jupyter_mlx_gpt_oss.engine.config import EngineConfig
from jupyter_mlx_gpt_oss.engine.engine_process import EngineProcess
from jupyter_mlx_gpt_oss.engine.request import GenerationRequest, Progress, TokenOutput
from jupyter_mlx_gpt_oss.protocol.chat_answers import ChatCompletion
from jupyter_mlx_gpt_oss.serving.config import ServingConfig
from jupyter_mlx_gpt_oss.serving.service import Service

_SNAPSHOTS = 8  # that the prefix cache keeps of a path
_ENTRY_BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}


class CountingEngine(EngineProcess):
    """Remembers what was computed, and counts what requests compute of it again."""

    def __init__(self, config: EngineConfig) -> None:
        super().__init__(config)
        self.known: list[tuple[int, ...]] = []
        self.ahead: list[tuple[int, ...]] = []
        self.num_prompt = self.num_computed = self.num_ahead = 0
        self.num_ideal = self.num_ideal_without_ahead = 0

    @override
    async def generate(self, request: GenerationRequest) -> AsyncGenerator[Progress | TokenOutput, None]:
        prompt = request.prompt_token_ids
        self.num_ideal += max(1, len(prompt) - _num_known(prompt, [*self.known, *self.ahead]))
        self.num_ideal_without_ahead += max(1, len(prompt) - _num_known(prompt, self.known))
        self.known.append(prompt)  # also to those that come meanwhile: they may wait for it
        output: list[int] = []
        num_cached = 0
        async for item in super().generate(request):
            if isinstance(item, TokenOutput):
                output += item.token_ids
                num_cached = item.num_cached_tokens
            yield item
        self.num_prompt += len(prompt)
        self.num_computed += len(prompt) - num_cached
        self.known.append((*prompt, *output[:-1]))  # the last token was drawn, not computed

    @override
    def precompute(self, prompt_token_ids: tuple[int, ...]) -> None:
        self.num_ahead += len(prompt_token_ids) - _num_known(prompt_token_ids, [*self.known, *self.ahead])
        self.ahead.append(prompt_token_ids)
        super().precompute(prompt_token_ids)

    def num_distinct(self) -> int:
        """Return how many tokens a tree of everything known has."""
        ordered = sorted((*self.known, *self.ahead))
        shared = sum(_num_shared(*pair) for pair in itertools.pairwise(ordered))
        return sum(map(len, ordered)) - shared


def _num_known(prompt: Sequence[int], known: Sequence[tuple[int, ...]]) -> int:
    return max((_num_shared(prompt, other) for other in known), default=0)


def _num_shared(one: Sequence[int], other: Sequence[int]) -> int:
    count = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        count += 1
    return count


def _sends_to(service: Service) -> Send:
    async def send(body: dict[str, Any]) -> Message:
        work = await service.chat_completions("benchmark")
        request = work.read(json.dumps(body).encode())
        answer = [item async for item in work.complete(request) if isinstance(item, ChatCompletion)][-1]
        message: Message = json.loads(answer.choices[0].message.model_dump_json(exclude_none=True))
        return message

    return send


def _serve(model: str) -> tuple[CountingEngine, Service]:
    engine = CountingEngine(EngineConfig(model=model))
    config = ServingConfig()
    return engine, Service(make_engine=lambda: engine, config=config, model_name=model, version="benchmark")


async def _greet(engine: CountingEngine, service: Service) -> EngineStatus:
    """Ask something short, after which the memory is told without what ran before."""
    await _sends_to(service)({"messages": [user("Hello!")], "max_tokens": 1})
    return engine.status()


async def _base_bytes(model: str) -> int:
    """Return what MLX holds without any conversation, in an engine of its own that has answered once."""
    engine, service = _serve(model)
    try:
        status = await _greet(engine, service)
    finally:
        await engine.stop()
    return status.memory_bytes - status.prefix_cache_bytes


async def _count(name: str, model: str, think: float) -> dict[str, float]:
    base = await _base_bytes(model)
    engine, service = _serve(model)
    try:
        await TALKS[name](_sends_to(service), think)
        running, found = engine.status(), _counts(engine)
        status = await _greet(engine, service)
    finally:
        await engine.stop()
    path_bytes = _path_bytes(status, engine.num_distinct())
    return {
        **found,
        "path MB": path_bytes / 1e6,
        "cache": status.prefix_cache_bytes / path_bytes,
        "grown": (status.memory_bytes - base) / path_bytes,
        "running": (running.memory_bytes - base) / path_bytes,
    }


def _counts(engine: CountingEngine) -> dict[str, float]:
    return {
        "prompt": engine.num_prompt,
        "computed": engine.num_computed,
        "ideal": engine.num_ideal,
        "waited": engine.num_computed / engine.num_ideal,
        "read ahead": engine.num_ahead,
        "in all": (engine.num_computed + engine.num_ahead) / engine.num_ideal_without_ahead,
        "distinct": engine.num_distinct(),
    }


def _path_bytes(status: EngineStatus, num_tokens: int) -> int:
    """Return what one conversation takes: the full layers' keys and values, and eight windows of the sliding ones."""
    assert status.model is not None
    directory = demo.cached_checkpoint() if status.model.is_demo else Path(status.model.name)
    config = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    # On the CPU backend everything is computed in float32, elsewhere as the checkpoint says.
    entry_bytes = 4 if status.model.device == "cpu" else _ENTRY_BYTES[config.get("torch_dtype", "bfloat16")]
    per_layer = 2 * config["num_key_value_heads"] * config["head_dim"] * entry_bytes
    num_full = config["layer_types"].count("full_attention")
    num_sliding = len(config["layer_types"]) - num_full
    windows = _SNAPSHOTS * min(num_tokens, config["sliding_window"])
    return int(per_layer * (num_full * num_tokens + num_sliding * windows))


def main() -> None:
    """Count what the command line names, print a table and keep it as JSON."""
    parser = argparse.ArgumentParser(description="Prompt tokens computed against the least possible.")
    parser.add_argument("--model", default="demo")
    parser.add_argument("--scenarios", default=",".join(TALKS))
    parser.add_argument(
        "--think", type=float, default=2.0, help="seconds between an answer and the next message"
    )
    arguments = parser.parse_args()
    for index, name in enumerate(arguments.scenarios.split(",")):
        found = asyncio.run(_count(name, arguments.model, arguments.think))
        if not index:
            print(f"{'tokens':12}" + "".join(f"{column:>12}" for column in found))
        print(f"{name:12}" + "".join(f"{value:12.6g}" for value in found.values()), flush=True)
        keep("prefill_tokens", {f"{Path(arguments.model).name} {name}": found})


if __name__ == "__main__":
    main()
