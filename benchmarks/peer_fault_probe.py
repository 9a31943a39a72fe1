"""Turn a server into what can be seen of it from outside: how its answers end, and whether it computes."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
from safetensors.numpy import load_file, save_file

from benchmarks.peers import HEADERS, Peer
from jupyter_mlx_gpt_oss import demo
from jupyter_mlx_gpt_oss.vocabulary import SPECIAL_TOKENS
from tests.support.processes import engine_workers

NEXT_SECONDS = 60.0
_HANG_SECONDS = 120.0  # without a piece of the answer; a queue of fifty takes its time
_ENDS = ("<|return|>", "<|call|>", "<|end|>", "<|endoftext|>")
_UNLIKELY = 123_456  # a token of no word that the demo has learnt
_WINDOW_SECONDS, _IDLE_CPU_SECONDS = 1.0, 0.05  # a server that computes gets more, on a busy machine too


Cell = dict[str, Any]
"""Of the table: its `text`, and whatever numbers that came from."""


@dataclass(frozen=True, slots=True)
class Running:
    """A server that runs."""

    url: str
    """The base URL of OpenAI's routes."""
    process: psutil.Process

    @property
    def engine(self) -> psutil.Process:
        """The process that computes: the server's own, or one below it."""
        return next(iter(engine_workers(self.process)), self.process)

    @property
    def cpu_seconds(self) -> float:
        """Of the server and all below it, so far."""
        total = 0.0
        for process in (self.process, *self.process.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                total += times.user + times.system
        return total

    @property
    def memory_bytes(self) -> int:
        """Of the server's process, without its engine's."""
        return int(self.process.memory_info().rss)

    @contextlib.asynccontextmanager
    async def client(self) -> AsyncIterator[httpx.AsyncClient]:
        """Give a client with the key, and as many connections as it needs."""
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(
            base_url=self.url, headers=HEADERS, timeout=300, limits=limits
        ) as client:
            yield client


@contextlib.contextmanager
def running(peer: Peer, model: Path) -> Iterator[Running]:
    """Start a server, have it load its model, and stop it at the end."""
    before = set(psutil.Process().children())
    with peer.run(model) as url:
        [process] = set(psutil.Process().children()) - before
        server = Running(url, process)
        asyncio.run(_warm_up(server))
        yield server


async def _warm_up(server: Running) -> None:
    answered = await answers_next(server)
    if answered != "answered":
        raise RuntimeError(f"{server.url} does not serve: {answered}")


def body(question: str, max_tokens: int, **fields: Any) -> dict[str, Any]:
    """Return a greedy request that every server takes."""
    messages = [{"role": "user", "content": question}]
    common = {"model": "default_model", "temperature": 0.0, "repetition_penalty": 1.0}
    return {**common, "messages": messages, "max_tokens": max_tokens, **fields}


def outcome(seen: "Stream", num_tokens: int) -> str:
    """Return in words how a stream of about so many tokens went, whose process met with a fault."""
    is_whole = seen.end == "done" and seen.num_frames > num_tokens // 2
    if is_whole:
        return f"the answer goes on to its end ({seen.num_frames} frames)"
    return f"the stream {seen.in_words}"


def verdict(next_answer: str) -> str:
    """Return what became of the next request in words."""
    return "the next request is answered" if next_answer == "answered" else f"the next request: {next_answer}"


async def answers_next(server: Running) -> str:
    """Return `answered` if a small request is, else how it is not."""
    try:
        async with asyncio.timeout(NEXT_SECONDS), server.client() as client:
            response = await client.post("chat/completions", json=body("Hello!", 8))
    except TimeoutError:
        return f"no answer in {NEXT_SECONDS:.0f} s"
    except httpx.TransportError as error:
        return type(error).__name__
    return "answered" if response.is_success and response.json()["choices"] else str(response.status_code)


@dataclass(slots=True)
class Stream:
    """How a streamed answer went."""

    end: str = "open"
    """`done`, `error`, `no end` (closed in good order without one), `broken` or `hung`."""
    status: int = 0
    num_frames: int = 0
    """With a piece of the answer."""
    code: str = ""
    """Of the error."""
    finish_reason: str = ""
    seconds: float = 0.0

    @property
    def in_words(self) -> str:
        """For a table."""
        if self.status != httpx.codes.OK and self.end == "error":
            return f"refused with {self.status}"
        return {
            "done": f"ends as if finished (`{self.finish_reason or 'no finish_reason'}`, [DONE])",
            "error": f"ends with an error{f' `{self.code}`' if self.code else ''}",
            "no end": "just ends, without an error",
            "broken": "connection breaks",
            "hung": f"hangs ({_HANG_SECONDS:.0f} s without a word)",
        }.get(self.end, self.end)


async def stream(
    server: Running, request: dict[str, Any], seen: Stream, *, max_frames: int | None = None
) -> None:
    """Read a stream to its end, or so many frames of it; what is seen is noted on the way."""
    start = time.monotonic()
    try:
        async with asyncio.timeout(_HANG_SECONDS) as limit, server.client() as client:
            await _read(client, request, seen, max_frames, limit)
    except TimeoutError:
        seen.end = "hung"
    except httpx.TransportError:
        seen.end = "broken"
    seen.seconds = time.monotonic() - start


async def _read(
    client: httpx.AsyncClient,
    request: dict[str, Any],
    seen: Stream,
    max_frames: int | None,
    limit: asyncio.Timeout,
) -> None:
    async with client.stream("POST", "chat/completions", json={**request, "stream": True}) as response:
        seen.status = response.status_code
        if not response.is_success:
            seen.end = "error"
            return
        async for line in response.aiter_lines():
            if line == "data: [DONE]":
                seen.end = "done"
                return
            if line.startswith("data: "):
                limit.reschedule(asyncio.get_running_loop().time() + _HANG_SECONDS)
                _note(json.loads(line[6:]), seen)
            if seen.end == "error" or (max_frames is not None and seen.num_frames >= max_frames):
                return
        seen.end = "no end"


def _note(frame: dict[str, Any], seen: Stream) -> None:
    if error := frame.get("error"):
        seen.end = "error"
        seen.code = error.get("code") or "" if isinstance(error, dict) else ""
    for choice in frame.get("choices") or []:
        delta = choice.get("delta") or {}
        seen.num_frames += any(delta.get(name) for name in ("content", "reasoning", "reasoning_content"))
        seen.finish_reason = choice.get("finish_reason") or seen.finish_reason


async def until_frames(seen: Stream, num_frames: int, seconds: float = 60) -> None:
    """Return once a stream that is read elsewhere has so many frames."""
    async with asyncio.timeout(seconds):
        while seen.num_frames < num_frames:
            await asyncio.sleep(0.01)


def seconds_of_computing(server: Running, at_most: float) -> float:
    """Return for how long the server goes on computing."""
    start = time.monotonic()
    while (now := time.monotonic()) - start < at_most:
        before = server.cpu_seconds
        time.sleep(_WINDOW_SECONDS)
        if server.cpu_seconds - before < _IDLE_CPU_SECONDS:
            return now - start
    return at_most


def endless_demo(directory: Path) -> Path:
    """Write the demo as a checkpoint that never ends an answer: the tokens that would are never the likeliest."""
    if not (directory / "endless").is_file():
        demo.unfold(directory)
        weights = load_file(directory / "model.safetensors")
        for name, tensor in weights.items():
            if name.startswith("lm_head."):
                tensor[[SPECIAL_TOKENS[token] for token in _ENDS]] = tensor[_UNLIKELY]
        save_file(weights, directory / "model.safetensors", metadata={"format": "mlx"})
        (directory / "endless").touch()
    return directory
