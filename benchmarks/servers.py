"""Measure this server beside its peers over HTTP: same checkpoint, same prompts, same machine, one run.

    python -m benchmarks.servers [--rounds 3] [--only ours,mlx_lm] [--scenarios one,four,eight,chat,long] [--long-words 8000]

Each server runs in a process of its own, from a virtual environment of its own below benchmarks/out/, made on first use:
this checkout, mlx_lm.server 0.32.2, and mlx-gpt-oss 1.0.3 with mlx 0.31.1 and mlx-lm 0.31.1, the last that it runs with. They take
turns; medians are reported, and kept in benchmarks/out/servers.json. The checkpoint is the demo as any server serves it, with
its full head: `jupyter_mlx_gpt_oss.demo.unfold`.

Scenarios:
    one     one stream: tokens a second, between two lengths of one answer so that its prompt does not count. `bare` is mlx-lm's
            own generate_step without any server, for this one alone
    four    four streams at once: tokens a second of all together, and the last one's seconds to its first frame
    eight   eight streams at once
    chat    ten turns of one conversation: seconds to the first frame of the tenth
    long    a prompt of so many words arrives while three streams run: the longest gap between two frames of these
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
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from jupyter_mlx_gpt_oss import demo
from jupyter_mlx_gpt_oss.harmony import render_chat

_ROOT = Path(__file__).parent.parent
_OUT = Path(__file__).parent / "out"
_KEY = "benchmark"
_STORY, _COUNT = "Tell me a story.", "Count to 100."
_FEWER, _MORE = 20, 120  # tokens of the two lengths of `one`
_NUM_STORY, _NUM_COUNT = 100, 300  # tokens of an answer, at the most


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
        ("-e", str(_ROOT)),
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
    num_frames: int = 0
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
        seen.num_frames += 1
    seen.num_tokens = seen.num_tokens or seen.num_frames  # a server without usage sends a frame a token
    return seen


def user(text: str) -> list[dict[str, str]]:
    """Return a conversation of one message."""
    return [{"role": "user", "content": text}]


# -- scenarios ----------------------------------------------------------------------------------------------------


async def _one(client: httpx.AsyncClient) -> dict[str, float]:
    await ask(client, user(_COUNT), _FEWER)
    short, long = await ask(client, user(_COUNT), _FEWER), await ask(client, user(_COUNT), _MORE)
    return {
        "first_frame_seconds": short.first,
        "tokens_per_second": (long.num_tokens - short.num_tokens) / (long.last - short.last),
    }


def _many(count: int) -> Callable[[httpx.AsyncClient], Awaitable[dict[str, float]]]:
    async def run(client: httpx.AsyncClient) -> dict[str, float]:
        start = time.perf_counter()
        streams = await asyncio.gather(*(ask(client, user(_STORY), _NUM_STORY) for _ in range(count)))
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
        seen = await ask(client, messages, _NUM_STORY)
        messages.append({"role": "assistant", "content": seen.text or "-"})
        first = seen.first
    return {"tenth_first_frame_seconds": first}


async def _long(client: httpx.AsyncClient, num_words: int) -> dict[str, float]:
    running = [asyncio.create_task(ask(client, user(_COUNT), _NUM_COUNT)) for _ in range(3)]
    await asyncio.sleep(1.5)  # they run
    late = await ask(client, user("wave " * num_words), 4)
    streams = await asyncio.gather(*running)
    return {
        "longest_gap_seconds": max(stream.longest_gap for stream in streams),
        "first_frame_seconds": late.first,
    }


Scenario = Callable[[httpx.AsyncClient], Awaitable[dict[str, float]]]
SCENARIOS: dict[str, Scenario] = {
    "one": _one,
    "four": _many(4),
    "eight": _many(8),
    "chat": _chat,
}


async def _measure(url: str, arguments: argparse.Namespace) -> dict[str, float]:
    scenarios: dict[str, Scenario] = {**SCENARIOS, "long": partial(_long, num_words=arguments.long_words)}
    headers = {"Authorization": f"Bearer {_KEY}"}
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=900) as client:
        await ask(client, user("Count to 5."), 8)  # loads the model where that is lazy
        figures: dict[str, float] = {}
        for name in arguments.scenarios.split(","):
            for figure, value in (await scenarios[name](client)).items():
                figures[f"{name}: {figure}"] = value
                print(f"    {name}: {figure} {value:.3f}", flush=True)
        return figures


def _bare(environment: Path, model: Path) -> dict[str, float]:
    """Return what mlx-lm does without a server."""
    prompt = json.dumps(render_chat(user(_COUNT), current_date="2026-11-23"))
    script = str(Path(__file__).parent / "bare_generate.py")
    command = [str(environment / "bin" / "python"), script, str(model), prompt, str(_FEWER), str(_MORE)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return {"one: tokens_per_second": json.loads(done.stdout)}


def main() -> None:
    """Measure what the command line names, print a table and keep it as JSON."""
    parser = argparse.ArgumentParser(description="This server beside its peers.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default=",".join(peer.name for peer in PEERS))
    parser.add_argument("--scenarios", default=",".join((*SCENARIOS, "long")))
    parser.add_argument("--long-words", type=int, default=8000, help="of the prompt that arrives, in `long`")
    arguments = parser.parse_args()
    peers = [peer for peer in PEERS if peer.name in arguments.only.split(",")]
    _OUT.mkdir(exist_ok=True)
    model = demo.unfold(_OUT / "demo")
    rounds: dict[str, list[dict[str, float]]] = {peer.name: [] for peer in peers}
    for peer in peers:
        peer.install()
    mlx_lm = next((peer for peer in peers if peer.name == "mlx_lm"), None)
    for number in range(arguments.rounds):
        for peer in peers:
            print(f"round {number + 1}: {peer.name}", flush=True)
            with peer.run(model) as url:
                rounds[peer.name].append(asyncio.run(_measure(url, arguments)))
        if mlx_lm is not None and "one" in arguments.scenarios:
            rounds.setdefault("bare", []).append(_bare(mlx_lm.environment, model))
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
        f"\n{'median':36}"
        + "".join(f"{name:>14}" for name in names)
        + "".join(f"{'ours/' + n:>18}" for n in names if n != "ours")
    )
    for figure in medians[names[0]]:
        cells = "".join(_cell(medians[name].get(figure), 14) for name in names)
        others = (medians[name].get(figure) for name in names if name != "ours")
        ratios = "".join(
            _cell(base[figure] / other if other and figure in base else None, 18) for other in others
        )
        print(f"{figure:36}{cells}{ratios}")


def _cell(value: float | None, width: int) -> str:
    return f"{'-' if value is None else f'{value:.3f}':>{width}}"


if __name__ == "__main__":
    main()
