"""Measure this server beside its peers over HTTP: same checkpoint, same prompts, same machine, one run.

    python -m benchmarks.servers [--rounds 3] [--only ours,mlx_lm] [--scenarios one,four,eight,chat,long]

Each server runs in a process of its own, from a virtual environment of its own below benchmarks/out/, made on first use:
this checkout, mlx_lm.server 0.32.2, and mlx-gpt-oss 1.0.3 with mlx 0.31.1 and mlx-lm 0.31.1, the last that it runs with. They take
turns; medians are reported, and kept in benchmarks/out/servers.json. The checkpoint is the demo as any server serves it, with
its full head: `jupyter_mlx_gpt_oss.demo.unfold`.

Scenarios:
    one     one stream: tokens a second, and seconds to the first frame
    four    four streams at once: tokens a second of all together, and the last one's seconds to its first frame
    eight   eight streams at once
    chat    ten turns of one conversation: seconds to the first frame of the tenth
    long    a prompt of 4,000 words arrives while three streams run: the longest gap between two frames of these
"""

import argparse
import asyncio
import contextlib
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import time
import venv
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from jupyter_mlx_gpt_oss import demo

_ROOT = Path(__file__).parent.parent
_OUT = Path(__file__).parent / "out"
_KEY = "benchmark"
_STORY, _COUNT = "Tell me a story.", "Count to 100."


@dataclass(frozen=True, slots=True)
class Peer:
    """A server to measure."""

    name: str
    packages: tuple[str, ...]
    command: tuple[str, ...]
    """After the environment's bin/; {model} and {port} are filled in."""

    @property
    def environment(self) -> Path:
        """Its virtual environment."""
        return _OUT / f"venv-{self.name}"

    def install(self) -> None:
        """Make the environment, if it is not there."""
        done = self.environment / "installed"
        if not done.is_file():
            venv.create(self.environment, with_pip=True, clear=True)
            pip = str(self.environment / "bin" / "pip")
            subprocess.run([pip, "install", "-q", *self.packages], check=True)
            done.touch()

    @contextlib.contextmanager
    def run(self, model: Path) -> Iterator[str]:
        """Serve a checkpoint; give the base URL of its OpenAI routes."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        first, *rest = (part.format(model=model, port=port) for part in self.command)
        log = (_OUT / f"{self.name}.log").open("wb")
        process = subprocess.Popen(
            [str(self.environment / "bin" / first), *rest],
            stdout=log,
            stderr=log,
            cwd=_OUT,
            env=os.environ.copy(),
        )
        url = f"http://127.0.0.1:{port}/v1"
        try:
            _wait(process, url)
            yield url
        finally:
            process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
            process.kill()
            log.close()


PEERS = (
    Peer(
        "ours",
        (str(_ROOT),),
        (
            "jupyter-mlx-gpt-oss",
            "--model={model}",
            "--port={port}",
            f"--GptOss.api_key={_KEY}",
            "--allow-root",
        ),
    ),
    Peer(
        "mlx_lm",
        ("mlx-lm==0.32.2", "mlx[cpu]==0.32.4" if sys.platform == "linux" else "mlx==0.32.4"),
        ("mlx_lm.server", "--model={model}", "--port={port}"),
    ),
    Peer(
        "mlx_gpt_oss",
        (
            "mlx-gpt-oss==1.0.3",
            "mlx-lm==0.31.1",
            "mlx[cpu]==0.31.1" if sys.platform == "linux" else "mlx==0.31.1",
        ),
        ("mlx-gpt-oss", "--model={model}", "--port={port}", "--host=127.0.0.1"),
    ),
)


def _wait(process: "subprocess.Popen[bytes]", url: str) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(f"{url}/models", headers={"Authorization": f"Bearer {_KEY}"}).status_code < 500:
                return
        time.sleep(0.2)
    raise RuntimeError(f"no server at {url}; see the logs in {_OUT}")


# -- one request --------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Stream:
    """What was seen of one streamed answer. Seconds, counted from the request."""

    first: float = 0.0
    last: float = 0.0
    longest_gap: float = 0.0
    num_tokens: int = 0
    text: str = ""


async def _frames(client: httpx.AsyncClient, body: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
    async with client.stream("POST", "chat/completions", json=body) as response:
        if response.status_code != 200:
            await response.aread()
            raise RuntimeError(f"{response.status_code}: {response.text[:300]}")
        async for line in response.aiter_lines():
            if line.startswith("data: {"):
                yield json.loads(line[6:])


async def ask(client: httpx.AsyncClient, messages: list[dict[str, str]], max_tokens: int) -> Stream:
    """Stream one greedy answer."""
    body = {
        "model": "default_model",
        "messages": messages,
        "max_tokens": max_tokens,
        "temperature": 0.0,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    seen, start, before = Stream(), time.perf_counter(), 0.0
    async for frame in _frames(client, body):
        now = time.perf_counter() - start
        if usage := frame.get("usage"):
            seen.num_tokens = usage["completion_tokens"]
        delta = frame["choices"][0]["delta"] if frame.get("choices") else {}
        text = delta.get("content") or delta.get("reasoning") or delta.get("reasoning_content")
        if not text:
            continue
        seen.text += delta.get("content") or ""
        seen.first = seen.first or now
        seen.longest_gap = max(seen.longest_gap, now - before if before else 0.0)
        seen.last = before = now
        seen.num_tokens = seen.num_tokens or 0
    return seen


def user(text: str) -> list[dict[str, str]]:
    """Return a conversation of one message."""
    return [{"role": "user", "content": text}]


# -- scenarios ----------------------------------------------------------------------------------------------------


async def _one(client: httpx.AsyncClient) -> dict[str, float]:
    seen = await ask(client, user(_STORY), 200)
    return {
        "first_frame_seconds": seen.first,
        "tokens_per_second": (seen.num_tokens - 1) / max(seen.last - seen.first, 1e-9),
    }


def _many(count: int) -> Callable[[httpx.AsyncClient], Awaitable[dict[str, float]]]:
    async def run(client: httpx.AsyncClient) -> dict[str, float]:
        start = time.perf_counter()
        streams = await asyncio.gather(*(ask(client, user(_STORY), 200) for _ in range(count)))
        seconds = time.perf_counter() - start
        return {
            "last_first_frame_seconds": max(stream.first for stream in streams),
            "tokens_per_second": sum(stream.num_tokens for stream in streams) / seconds,
        }

    return run


async def _chat(client: httpx.AsyncClient) -> dict[str, float]:
    messages: list[dict[str, str]] = [{"role": "system", "content": "Be brief. " * 60}]
    first = 0.0
    for _ in range(10):
        messages += user(_STORY)
        seen = await ask(client, messages, 200)
        messages.append({"role": "assistant", "content": seen.text or "-"})
        first = seen.first
    return {"tenth_first_frame_seconds": first}


async def _long(client: httpx.AsyncClient) -> dict[str, float]:
    running = [asyncio.create_task(ask(client, user(_COUNT), 400)) for _ in range(3)]
    await asyncio.sleep(1.5)  # they run
    await ask(client, user("wave " * 4000), 4)
    streams = await asyncio.gather(*running)
    return {"longest_gap_seconds": max(stream.longest_gap for stream in streams)}


SCENARIOS: dict[str, Callable[[httpx.AsyncClient], Awaitable[dict[str, float]]]] = {
    "one": _one,
    "four": _many(4),
    "eight": _many(8),
    "chat": _chat,
    "long": _long,
}


async def _measure(url: str, scenarios: list[str]) -> dict[str, float]:
    headers = {"Authorization": f"Bearer {_KEY}"}
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=900) as client:
        await ask(client, user("Count to 5."), 8)  # loads the model where that is lazy
        figures: dict[str, float] = {}
        for name in scenarios:
            for figure, value in (await SCENARIOS[name](client)).items():
                figures[f"{name}: {figure}"] = value
        return figures


def main() -> None:
    """Measure what the command line names, print a table and keep it as JSON."""
    parser = argparse.ArgumentParser(description="This server beside its peers.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default=",".join(peer.name for peer in PEERS))
    parser.add_argument("--scenarios", default=",".join(SCENARIOS))
    arguments = parser.parse_args()
    peers = [peer for peer in PEERS if peer.name in arguments.only.split(",")]
    _OUT.mkdir(exist_ok=True)
    model = demo.unfold(_OUT / "demo")
    rounds: dict[str, list[dict[str, float]]] = {peer.name: [] for peer in peers}
    for peer in peers:
        peer.install()
    for number in range(arguments.rounds):
        for peer in peers:
            print(f"round {number + 1}: {peer.name}", flush=True)
            with peer.run(model) as url:
                rounds[peer.name].append(asyncio.run(_measure(url, arguments.scenarios.split(","))))
    medians = {
        name: {figure: statistics.median(each[figure] for each in seen) for figure in seen[0]}
        for name, seen in rounds.items()
    }
    _print(medians)
    (_OUT / "servers.json").write_text(json.dumps({"rounds": rounds, "medians": medians}, indent=1))


def _print(medians: dict[str, dict[str, float]]) -> None:
    names = list(medians)
    base = medians.get("ours", {})
    print(
        f"\n{'median':40}"
        + "".join(f"{name:>14}" for name in names)
        + "".join(f"{'ours/' + n:>18}" for n in names[1:])
    )
    for figure in medians[names[0]]:
        cells = "".join(f"{medians[name][figure]:14.3f}" for name in names)
        ratios = "".join(
            f"{base.get(figure, 0.0) / max(medians[name][figure], 1e-9):18.2f}" for name in names[1:]
        )
        print(f"{figure:40}{cells}{ratios}")


if __name__ == "__main__":
    main()
