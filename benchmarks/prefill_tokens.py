"""Count the prompt tokens that conversations compute, against the least that an exact engine can.

    python -m benchmarks.prefill_tokens [--model demo] [--scenarios chat,loop,...] [--think 2]

The whole serving room runs in this process, over a real engine; nothing is timed, so the counts are the same on every machine.
The ideal of a request is its prompt without the longest prefix that an earlier request, or what was read ahead while the engine
was idle, has computed: at least one token. `one path MB` is what a single conversation's distinct tokens take by arithmetic, `cache
MB` what the prefix cache holds, `grown MB` what MLX holds more than after loading.

Scenarios:
    chat        ten turns of one conversation, with a pause after each
    loop        twenty steps of a tool loop, reasoning sent back
    loop-bare   the same without the reasoning
    agents      six agents with system messages and tools of their own, five steps each, in turns
    edit        a conversation whose last answer is regenerated and whose third message is edited, and that goes on from both
"""

import argparse
import asyncio
import itertools
import json
import platform
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from typing_extensions import override

from jupyter_mlx_gpt_oss import demo
from jupyter_mlx_gpt_oss.engine.config import EngineConfig
from jupyter_mlx_gpt_oss.engine.engine_process import EngineProcess
from jupyter_mlx_gpt_oss.engine.request import GenerationRequest, Progress, TokenOutput
from jupyter_mlx_gpt_oss.protocol.chat_answers import ChatCompletion
from jupyter_mlx_gpt_oss.serving.config import ServingConfig
from jupyter_mlx_gpt_oss.serving.service import Service

_OUT = Path(__file__).parent / "out"
_WORDS = (
    "tide",
    "harbour",
    "seven",
    "grey",
    "boats",
    "waited",
    "wind",
    "nobody",
    "spoke",
    "again",
    "lamp",
    "letter",
)
_SNAPSHOTS = 8  # that the prefix cache keeps of a path

Message = dict[str, Any]


class CountingEngine(EngineProcess):
    """Remembers what was computed, and counts what requests compute of it again."""

    def __init__(self, config: EngineConfig) -> None:
        super().__init__(config)
        self.known: list[tuple[int, ...]] = []
        self.num_prompt = self.num_computed = self.num_ideal = self.num_ahead = 0

    @override
    async def generate(self, request: GenerationRequest) -> AsyncGenerator[Progress | TokenOutput, None]:
        prompt = request.prompt_token_ids
        ideal = max(1, len(prompt) - self._num_known(prompt))
        output: list[int] = []
        num_cached = 0
        async for item in super().generate(request):
            if isinstance(item, TokenOutput):
                output += item.token_ids
                num_cached = item.num_cached_tokens
            yield item
        self.num_prompt += len(prompt)
        self.num_computed += len(prompt) - num_cached
        self.num_ideal += ideal
        self.known.append((*prompt, *output[:-1]))  # the last token was drawn, not computed

    @override
    def precompute(self, prompt_token_ids: tuple[int, ...]) -> None:
        self.num_ahead += len(prompt_token_ids) - self._num_known(prompt_token_ids)
        self.known.append(prompt_token_ids)
        super().precompute(prompt_token_ids)

    def num_distinct(self) -> int:
        """Return how many tokens a tree of everything known has."""
        ordered = sorted(self.known)
        shared = sum(_num_shared(*pair) for pair in itertools.pairwise(ordered))
        return sum(map(len, ordered)) - shared

    def _num_known(self, prompt: Sequence[int]) -> int:
        return max((_num_shared(prompt, other) for other in self.known), default=0)


@dataclass(slots=True)
class Conversation:
    """A client that sends everything it has got."""

    service: Service
    tools: list[Message] | None = None
    is_reasoning_sent: bool = True
    messages: list[Message] = field(default_factory=list)

    async def ask(self, max_tokens: int = 60) -> Message:
        """Send the messages, and take the answer among them."""
        body: dict[str, Any] = {"messages": self.messages, "max_tokens": max_tokens, "temperature": 0.0}
        if self.tools:
            body |= {"tools": self.tools, "tool_choice": "required"}
        work = await self.service.chat_completions("benchmark")
        request = work.read(json.dumps(body).encode())
        answer = [item async for item in work.complete(request) if isinstance(item, ChatCompletion)][-1]
        message: Message = json.loads(answer.choices[0].message.model_dump_json(exclude_none=True))
        kept = {"role", "content", "tool_calls", *(("reasoning",) if self.is_reasoning_sent else ())}
        message = {key: value for key, value in message.items() if key in kept}
        self.messages.append(message)
        return message

    async def use_tools(self, result: str) -> None:
        """Ask for a call, and send its result."""
        message = await self.ask(200)
        for call in message.get("tool_calls", ()):
            self.messages.append({"role": "tool", "tool_call_id": call["id"], "content": result})


def _num_shared(one: Sequence[int], other: Sequence[int]) -> int:
    count = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        count += 1
    return count


def _text(seed: int, num_words: int) -> str:
    source = random.Random(seed)
    return " ".join(source.choice(_WORDS) for _ in range(num_words))


def _tool(name: str) -> Message:
    parameters = {
        "type": "object",
        "properties": {"path": {"type": "string", "maxLength": 40}},
        "required": ["path"],
        "additionalProperties": False,
    }
    return {
        "type": "function",
        "function": {"name": name, "description": "Read a file.", "parameters": parameters, "strict": True},
    }


# -- scenarios ----------------------------------------------------------------------------------------------------


async def _chat(service: Service, think: float) -> None:
    talk = Conversation(service, messages=[{"role": "system", "content": _text(0, 300)}])
    for turn in range(10):
        talk.messages.append({"role": "user", "content": f"Tell me a story. {_text(turn, 12)}"})
        await talk.ask()
        await asyncio.sleep(think)  # somebody reads the answer, and the engine reads ahead


def _loop(*, is_reasoning_sent: bool) -> Callable[[Service, float], Awaitable[None]]:
    async def run(service: Service, think: float) -> None:
        del think
        talk = Conversation(service, [_tool("read_file")], is_reasoning_sent)
        talk.messages += [{"role": "user", "content": f"Read the notes. {_text(1, 40)}"}]
        for step in range(20):
            await talk.use_tools(_text(100 + step, 20 + 15 * (step % 7)))

    return run


async def _agents(service: Service, think: float) -> None:
    del think
    talks = []
    for agent in range(6):
        system = {"role": "system", "content": f"Agent {agent}. {_text(agent, 150)}"}
        task = {"role": "user", "content": _text(50 + agent, 30)}
        talks.append(Conversation(service, [_tool(f"read_file_{agent}")], messages=[system, task]))
    for step in range(5):
        await asyncio.gather(*(talk.use_tools(_text(10 * step, 40)) for talk in talks))


async def _edit(service: Service, think: float) -> None:
    talk = Conversation(service)
    for turn in range(6):
        talk.messages.append({"role": "user", "content": _text(turn, 40)})
        await talk.ask()
        await asyncio.sleep(think)
    talk.messages.pop()
    await talk.ask()  # regenerated
    await asyncio.sleep(think)
    edited = Conversation(service, messages=[*talk.messages[:4], {"role": "user", "content": _text(90, 40)}])
    for turn in range(3):
        await edited.ask()
        await asyncio.sleep(think)
        for branch in (talk, edited):
            branch.messages.append({"role": "user", "content": _text(200 + turn, 30)})
        await talk.ask()
        await asyncio.sleep(think)


SCENARIOS: dict[str, Callable[[Service, float], Awaitable[None]]] = {
    "chat": _chat,
    "loop": _loop(is_reasoning_sent=True),
    "loop-bare": _loop(is_reasoning_sent=False),
    "agents": _agents,
    "edit": _edit,
}


# -- counting -----------------------------------------------------------------------------------------------------


async def _count(name: str, model: str, think: float) -> dict[str, float]:
    engine = CountingEngine(EngineConfig(model=model))
    service = Service(
        make_engine=lambda: engine, config=ServingConfig(), model_name=model, version="benchmark"
    )
    try:
        await engine.load()
        before = engine.status().memory_bytes
        await SCENARIOS[name](service, think)
        status = engine.status()
    finally:
        await engine.stop()
    distinct = engine.num_distinct()
    return {
        "prompt": engine.num_prompt,
        "computed": engine.num_computed,
        "ideal": engine.num_ideal,
        "ratio": engine.num_computed / engine.num_ideal,
        "read ahead": engine.num_ahead,
        "distinct": distinct,
        "one path MB": _path_bytes(model, distinct) / 1e6,
        "cache MB": status.prefix_cache_bytes / 1e6,
        "grown MB": (status.memory_bytes - before) / 1e6,
    }


def _path_bytes(model: str, num_tokens: int) -> int:
    """Return what one conversation takes: the full layers' keys and values, and eight windows of the sliding ones."""
    directory = demo.cached_checkpoint() if model == "demo" else Path(model)
    config = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    entry_bytes = 4 if platform.machine() != "arm64" else 2  # float32 on the CPU backend
    per_layer = 2 * config["num_key_value_heads"] * config["head_dim"] * entry_bytes
    num_full = config["layer_types"].count("full_attention")
    num_sliding = len(config["layer_types"]) - num_full
    windows = _SNAPSHOTS * min(num_tokens, config["sliding_window"])
    return int(per_layer * (num_full * num_tokens + num_sliding * windows))


def main() -> None:
    """Count what the command line names, print a table and keep it as JSON."""
    parser = argparse.ArgumentParser(description="Prompt tokens computed against the least possible.")
    parser.add_argument("--model", default="demo")
    parser.add_argument("--scenarios", default=",".join(SCENARIOS))
    parser.add_argument(
        "--think", type=float, default=2.0, help="seconds between an answer and the next message"
    )
    arguments = parser.parse_args()
    found: dict[str, dict[str, float]] = {}
    for index, name in enumerate(arguments.scenarios.split(",")):
        found[name] = asyncio.run(_count(name, arguments.model, arguments.think))
        if not index:
            print(f"{'tokens':12}" + "".join(f"{column:>12}" for column in found[name]))
        cells = (f"{value:12.6g}" for value in found[name].values())
        print(f"{name:12}" + "".join(cells), flush=True)
    _OUT.mkdir(exist_ok=True)
    (_OUT / "prefill_tokens.json").write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
