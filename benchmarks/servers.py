"""Measure this server beside its peers over HTTP: same checkpoint, same prompts, same machine, one run.

    python -m benchmarks.servers [--checkpoint DIR] [--scenarios one,four,...] [--only ours,mlx_lm] [--rounds 3]

Each server runs in a process of its own, from a virtual environment of its own (see benchmarks.peers): this checkout,
mlx_lm.server 0.32.2, and mlx-gpt-oss 1.0.3. They take turns, each round begins with fresh processes, and medians are
reported; benchmarks/out/servers.json keeps them by checkpoint and scenario. Without --checkpoint it is the demo as any server
serves it, with its full head; `benchmarks.make_checkpoint` makes others. Random weights want --temperature 1: greedy, they
give every stream the same words.

Scenarios:
    one         one stream: tokens a second, between two lengths of one answer so that its prompt does not count. `bare` is
                mlx-lm's own generate_step without any server, for this one alone; `ours, no lookup` guesses no tokens
    four        four streams at once, each with a prompt of its own that no server has seen: tokens a second of all together,
                and the last one's seconds to its first frame
    eight       eight streams at once
    long        a prompt of so many words arrives while three streams run: the longest gap between two frames of these
    chat, loop, loop-bare, agents, edit
                the conversations of benchmarks.conversations: prompt tokens, those of them that were computed as the server's
                usage tells it, seconds in all, and the seconds to the first frame of the last answer
    chat-paused chat, with two seconds between an answer and the next message, in which somebody reads
    chat-token, chat-paused-token
                the same, whose tenth answer may have one token: the seconds until it ends
"""

import argparse
import asyncio
import json
import statistics
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from benchmarks.conversations import TALKS, Message, Talk, story, text, user
from benchmarks.peers import BACKEND, HEADERS, PEERS, Peer
from benchmarks.results import OUT, keep
from jupyter_mlx_gpt_oss import demo
from jupyter_mlx_gpt_oss.harmony import render_chat

_COUNT = [user("Count to 100.")]
_PAUSE_SECONDS = 2.0
_TURN = 10
"""Of the chat, the last one."""
_STREAM = {"stream": True, "stream_options": {"include_usage": True}}

Figures = dict[str, float]
"""Of one server, by name."""


# -- one request --------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Stream:
    """What was seen of one streamed answer. Seconds, counted from the request.

    `longest_gap` is one within the reasoning or within the text: between them stands a header of several tokens, which this
    server shows nobody.
    """

    first: float = 0.0
    last: float = 0.0
    is_reasoning: bool = False
    longest_gap: float = 0.0
    num_tokens: int = 0
    num_prompt: int = 0
    num_cached: int = 0
    content: str = ""
    reasoning: str = ""
    calls: list[Message] = field(default_factory=list)

    @property
    def message(self) -> Message:
        """What a client puts into its history."""
        parts = {"content": self.content or "-", "reasoning": self.reasoning, "tool_calls": self.calls}
        if self.calls:
            parts["content"] = self.content
        return {"role": "assistant", **{name: part for name, part in parts.items() if part}}

    def take(self, frame: dict[str, Any], now: float) -> None:
        """Add a frame."""
        if usage := frame.get("usage"):
            self.num_tokens = usage["completion_tokens"]
            self.num_prompt = usage["prompt_tokens"]
            self.num_cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens", 0)
        delta = frame["choices"][0]["delta"] if frame.get("choices") else {}
        content, calls = delta.get("content") or "", delta.get("tool_calls") or ()
        reasoning = delta.get("reasoning") or delta.get("reasoning_content") or ""
        if not (content or reasoning or calls):
            return
        self.content += content
        self.reasoning += reasoning
        for call in calls:
            self._take_call(call)
        if self.last and self.is_reasoning == bool(reasoning):
            self.longest_gap = max(self.longest_gap, now - self.last)
        self.is_reasoning = bool(reasoning)
        self.first = self.first or now
        self.last = now

    def _take_call(self, part: Message) -> None:
        if part.get("id"):
            self.calls.append({"id": part["id"], "type": "function", "function": {"arguments": ""}})
        function, news = self.calls[-1]["function"], part.get("function") or {}
        function["arguments"] += news.get("arguments") or ""
        if news.get("name"):
            function["name"] = news["name"]


async def _frames(client: httpx.AsyncClient, body: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
    async with client.stream("POST", "chat/completions", json=body) as response:
        if response.status_code != 200:
            await response.aread()
            raise RuntimeError(f"{response.status_code}: {response.text[:300]}")
        async for line in response.aiter_lines():
            if line.startswith("data: {"):
                yield json.loads(line[6:])


async def ask(client: httpx.AsyncClient, body: dict[str, Any]) -> Stream:
    """Stream one answer."""
    seen, start = Stream(), time.perf_counter()
    async for frame in _frames(client, {"model": "default_model", **_STREAM, **body}):
        seen.take(frame, time.perf_counter() - start)
    return seen


@dataclass(frozen=True, slots=True)
class Server:
    """A server that runs, as the scenarios see it."""

    client: httpx.AsyncClient
    fields: dict[str, object]
    num_tokens: int
    """Of an answer, at the most."""
    temperature: float
    first_seed: int
    """Of prompts that nobody has asked; each round has its own hundred."""

    async def ask(self, messages: list[Message], max_tokens: int) -> Stream:
        """Stream one answer."""
        sampling = {"max_tokens": max_tokens, "temperature": self.temperature}
        return await self.send({"messages": messages, **sampling})

    async def send(self, body: dict[str, Any]) -> Stream:
        """Stream the answer to a request."""
        return await ask(self.client, {**self.fields, **body})


# -- scenarios ----------------------------------------------------------------------------------------------------

Scenario = Callable[[Server], Awaitable[Figures]]


async def _one(server: Server) -> Figures:
    fewer = server.num_tokens // 5
    await server.ask(_COUNT, fewer)
    short, long = await server.ask(_COUNT, fewer), await server.ask(_COUNT, server.num_tokens)
    return {
        "tokens_per_second": (long.num_tokens - short.num_tokens) / (long.last - short.last),
        "first_frame_seconds": short.first,
    }


async def _many(server: Server, count: int) -> Figures:
    start, seed = time.perf_counter(), server.first_seed + 10 * count
    asked = (server.ask(story(seed + index), server.num_tokens) for index in range(count))
    streams = await asyncio.gather(*asked)
    seconds = time.perf_counter() - start
    return {
        "tokens_per_second": sum(stream.num_tokens for stream in streams) / seconds,
        "last_first_frame_seconds": max(stream.first for stream in streams),
    }


async def _long(server: Server, num_words: int) -> Figures:
    stories = (story(server.first_seed + index) for index in range(3))
    running = [asyncio.create_task(server.ask(asked, 3 * server.num_tokens)) for asked in stories]
    await asyncio.sleep(2.0)  # they run
    late = await server.ask([user(text(server.first_seed, num_words))], 4)
    streams = await asyncio.gather(*running)
    return {
        "longest_gap_seconds": max(stream.longest_gap for stream in streams),
        "first_frame_seconds": late.first,
    }


async def _talk(server: Server, talk: Talk, think: float = 0.0) -> Figures:
    seen: list[Stream] = []

    async def send(body: dict[str, Any]) -> Message:
        seen.append(await server.send(body))
        return seen[-1].message

    start = time.perf_counter()
    await talk(send, think)
    return {
        "prompt_tokens": sum(stream.num_prompt for stream in seen),
        "computed_tokens": sum(stream.num_prompt - stream.num_cached for stream in seen),
        "calls": sum(len(stream.calls) for stream in seen),
        "seconds": time.perf_counter() - start,
        "last_first_frame_seconds": seen[-1].first,
    }


async def _first_token(server: Server, talk: Talk, think: float = 0.0) -> Figures:
    """Measure a conversation's tenth answer up to its first token, whatever a server shows of it: it gets no other."""
    num_asked, seconds = 0, 0.0

    async def send(body: dict[str, Any]) -> Message:
        nonlocal num_asked, seconds
        num_asked += 1
        start = time.perf_counter()
        seen = await server.send({**body, "max_tokens": 1} if num_asked == _TURN else body)
        seconds = time.perf_counter() - start
        return seen.message

    await talk(send, think)
    assert num_asked == _TURN
    return {"tenth_token_seconds": seconds}


SCENARIOS: dict[str, Scenario] = {
    "one": _one,
    "four": partial(_many, count=4),
    "eight": partial(_many, count=8),
    "long": partial(_long, num_words=8000),
    **{name: partial(_talk, talk=talk) for name, talk in TALKS.items()},
    "chat-paused": partial(_talk, talk=TALKS["chat"], think=_PAUSE_SECONDS),
    "chat-token": partial(_first_token, talk=TALKS["chat"]),
    "chat-paused-token": partial(_first_token, talk=TALKS["chat"], think=_PAUSE_SECONDS),
}


# -- side by side -------------------------------------------------------------------------------------------------


async def _measure(
    url: str, peer: Peer, names: list[str], arguments: argparse.Namespace, seed: int
) -> Figures:
    scenarios = {**SCENARIOS, "long": partial(_long, num_words=arguments.long_words)}
    figures: Figures = {}
    async with httpx.AsyncClient(base_url=url, headers=HEADERS, timeout=900) as client:
        server = Server(client, dict(peer.fields), arguments.tokens, arguments.temperature, seed)
        await server.ask([user("Count to 5.")], 8)  # loads the model where that is lazy
        for name in names:
            for figure, value in (await scenarios[name](server)).items():
                figures[f"{name}: {figure}"] = value
                print(f"    {name}: {figure} {value:.3f}", flush=True)
    return figures


def _bare(environment: Path, model: Path, num_tokens: int) -> Figures:
    """Return what mlx-lm does without a server."""
    prompt = json.dumps(render_chat(_COUNT, current_date="2026-11-23"))
    script = str(Path(__file__).parent / "bare_generate.py")
    sizes = (str(num_tokens // 5), str(num_tokens))
    command = [str(environment / "bin" / "python"), script, str(model), prompt, *sizes]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return {"one: tokens_per_second": json.loads(done.stdout)}


def _round(arguments: argparse.Namespace, model: Path, number: int) -> dict[str, Figures]:
    """Return what each server did in one round."""
    asked, found = arguments.scenarios.split(","), {}
    for peer in PEERS:
        names = [name for name in asked if peer.scenarios is None or name in peer.scenarios]
        if not names or not (arguments.only is None or peer.name in arguments.only.split(",")):
            continue
        print(f"round {number + 1}: {peer.name}", flush=True)
        peer.install(arguments.backend)
        with peer.run(model, arguments.backend) as url:
            measured = _measure(url, peer, names, arguments, 1000 + 100 * number)
            found[peer.name] = asyncio.run(measured)
        if peer.name == "mlx_lm" and "one" in names:
            found["bare"] = _bare(peer.environment(arguments.backend), model, arguments.tokens)
    return found


def main() -> None:
    """Measure what the command line names, print a table and keep it as JSON."""
    parser = argparse.ArgumentParser(description="This server beside its peers.")
    parser.add_argument("--checkpoint", type=Path, help="a directory; left out: the demo with its full head")
    parser.add_argument("--scenarios", default=",".join(SCENARIOS))
    parser.add_argument("--only", help="names of servers; left out: all")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=100, help="of an answer, at the most; thrice in `long`")
    parser.add_argument("--temperature", type=float, default=0.0, help="1 where the weights are random")
    parser.add_argument("--long-words", type=int, default=8000, help="of the prompt that arrives, in `long`")
    parser.add_argument("--backend", default=BACKEND, help="MLX's extra to install: cpu, cuda12, cuda13")
    arguments = parser.parse_args()
    OUT.mkdir(exist_ok=True)
    model = (arguments.checkpoint or demo.unfold(OUT / "demo")).absolute()
    rounds = [_round(arguments, model, number) for number in range(arguments.rounds)]
    medians = {
        name: {figure: statistics.median(each[name][figure] for each in rounds) for figure in figures}
        for name, figures in rounds[0].items()
    }
    _print(medians)
    for scenario in arguments.scenarios.split(","):
        told = {"rounds": [_only(each, scenario) for each in rounds], "medians": _only(medians, scenario)}
        keep("servers", {f"{model.name} {scenario}": told})


def _only(found: dict[str, Figures], scenario: str) -> dict[str, Figures]:
    """Return one scenario's figures, of the servers that took part in it."""
    parts = {
        name: {figure: value for figure, value in figures.items() if figure.startswith(f"{scenario}: ")}
        for name, figures in found.items()
    }
    return {name: part for name, part in parts.items() if part}


def _print(medians: dict[str, Figures]) -> None:
    others, base = [name for name in medians if name != "ours"], medians.get("ours", {})
    titles = (f"{name:>16}" for name in medians)
    print(f"\n{'median':38}" + "".join(titles) + "".join(f"{'ours/' + name:>21}" for name in others))
    for figure in max(medians.values(), key=len):
        cells = "".join(_cell(figures.get(figure), 16) for figures in medians.values())
        ratios = "".join(_cell(_ratio(base.get(figure), medians[name].get(figure)), 21) for name in others)
        print(f"{figure:38}{cells}{ratios}")


def _ratio(ours: float | None, other: float | None) -> float | None:
    return ours / other if ours is not None and other else None


def _cell(value: float | None, width: int) -> str:
    return f"{'-' if value is None else f'{value:.3f}':>{width}}"


if __name__ == "__main__":
    main()
