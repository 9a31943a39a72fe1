"""Load a real Jupyter server for half an hour, kill its engine process every minute, and see that nothing is lost.

    python -m benchmarks.soak [--minutes 30] [--clients 16] [--kill-seconds 60] [--seed 0]

Clients chat, stream, call tools, go on from responses and leave at random moments. Every request must be accounted for, by the clients
and by the server's own metrics; none may hang. The server must not grow: memory, threads, file descriptors, open requests. A kernel
of the same server counts all the while, and none of its numbers may be missing. The short form is tests/faults/test_soak.py.
Exits with 1 if anything of this does not hold.
"""

import argparse
import asyncio
import json
import random
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
from tornado.websocket import WebSocketClosedError, websocket_connect

from tests.support.jupyter_process import TOKEN, JupyterProcess, jupyter_process

_HANG_SECONDS = 180.0
_SAMPLE_SECONDS = 5.0
_COUNTS_A_SECOND = 10
_AUTHORIZATION = {"Authorization": f"token {TOKEN}"}
_QUESTIONS = ("Hello!", "Tell me a story.", "Count to 20.", "What is 12 + 30?", "Who wrote Hamlet?")
_TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the weather of a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


@dataclass(frozen=True, slots=True)
class Sample:
    """The server process at one moment."""

    memory_bytes: int
    num_threads: int
    num_files: int


@dataclass(slots=True)
class Report:
    """What was seen."""

    num_sent: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    """Of the requests, by `finished`, `cancelled`, `refused`, `errored`, `hung` and `cut`."""
    details: Counter[str] = field(default_factory=Counter)
    """Of what was refused and errored, by code."""
    num_kills: int = 0
    num_counted_by_server: int = 0
    num_open: int = 0
    samples: list[Sample] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    """What the kernel said, in the order in which it came."""
    longest_count_gap_seconds: float = 0.0
    num_log_faults: int = 0
    """Tracebacks in the server's log."""

    @property
    def faults(self) -> list[str]:
        """What must not be."""
        first, last = self.settled
        checks = {
            "requests do not add up": sum(self.ends.values()) == self.num_sent,
            "the server's metrics count other requests": self.num_counted_by_server == self.num_sent,
            "a request hung": not self.ends["hung"],
            "a stream was cut as if it had ended": not self.ends["cut"],
            "requests are open still": not self.num_open,
            "the kernel's numbers have gaps": self.counts == list(range(len(self.counts)))
            and bool(self.counts),
            "threads were left": last.num_threads <= first.num_threads,
            "files were left": last.num_files <= first.num_files,
            "tracebacks in the log": not self.num_log_faults,
        }
        return [fault for fault, holds in checks.items() if not holds]

    @property
    def settled(self) -> tuple[Sample, Sample]:
        """The most that the first third of the samples after warming up had, and the last sample, which is idle."""
        warm = self.samples[len(self.samples) // 10 :]
        early = warm[: max(1, len(warm) // 3)]
        return (
            Sample(
                max(sample.memory_bytes for sample in early),
                max(sample.num_threads for sample in early),
                max(sample.num_files for sample in early),
            ),
            warm[-1],
        )

    def print(self) -> None:
        """Say it all."""
        first, last = self.settled
        print(f"requests     {self.num_sent} sent: {dict(self.ends)} {dict(self.details)}")
        print(
            f"server       counted {self.num_counted_by_server}, {self.num_open} open; engine killed {self.num_kills} times"
        )
        print(f"kernel       {len(self.counts)} numbers, longest gap {self.longest_count_gap_seconds:.2f} s")
        print(
            f"memory       {first.memory_bytes / 1e6:.1f} MB at most in the first third, {last.memory_bytes / 1e6:.1f} MB at the end"
        )
        print(f"threads      {first.num_threads}, {last.num_threads}")
        print(f"files        {first.num_files}, {last.num_files}")
        print(f"log          {self.num_log_faults} tracebacks")
        print("FAULTS: " + "; ".join(self.faults) if self.faults else "nothing is wrong")


class Clients:
    """Ask, until they are told to stop."""

    def __init__(self, server: JupyterProcess, report: Report, seed: int) -> None:
        self._report = report
        self._random = random.Random(seed)
        self._http = httpx.AsyncClient(
            base_url=server.openai_url, headers=_AUTHORIZATION, timeout=_HANG_SECONDS
        )
        self.is_over = asyncio.Event()

    async def run(self, num_clients: int) -> None:
        """Return when the last request has ended after `is_over` was set."""
        await asyncio.gather(*(self._client() for _ in range(num_clients)))
        await self._http.aclose()

    async def _client(self) -> None:
        kinds = (self._chat, self._stream, self._leave, self._tool, self._responses)
        while not self.is_over.is_set():
            try:
                await self._random.choice(kinds)()
            except httpx.TimeoutException:
                self._report.ends["hung"] += 1
            await asyncio.sleep(self._random.uniform(0.0, 0.2))

    def _body(self, **fields: Any) -> dict[str, Any]:
        question = {"role": "user", "content": self._random.choice(_QUESTIONS)}
        return {
            "model": "demo",
            "messages": [question],
            "max_tokens": self._random.choice((8, 64, 200)),
            **fields,
        }

    async def _chat(self) -> None:
        await self._whole("chat/completions", self._body())

    async def _tool(self) -> None:
        required = self._random.choice(("auto", "required"))
        await self._whole("chat/completions", self._body(tools=[_TOOL], tool_choice=required))

    async def _responses(self) -> None:
        answer = await self._whole("responses", {"model": "demo", "input": "My name is Ada."})
        if answer is not None:
            follow_up = {"model": "demo", "input": "What is my name?", "previous_response_id": answer["id"]}
            await self._whole("responses", follow_up)

    async def _whole(self, path: str, body: dict[str, Any]) -> dict[str, Any] | None:
        self._report.num_sent += 1
        response = await self._http.post(path, json=body)
        answer: dict[str, Any] = response.json()
        if response.status_code == httpx.codes.OK:
            self._report.ends["finished"] += 1
            return answer
        self._note_error(response.status_code, answer["error"]["code"])
        return None

    async def _stream(self) -> None:
        await self._streamed(max_frames=None)

    async def _leave(self) -> None:
        await self._streamed(max_frames=self._random.randrange(12))

    async def _streamed(self, max_frames: int | None) -> None:
        self._report.num_sent += 1
        async with self._http.stream("POST", "chat/completions", json=self._body(stream=True)) as response:
            if response.status_code != httpx.codes.OK:
                error = json.loads(await response.aread())["error"]
                self._note_error(response.status_code, error["code"])
                return
            num_frames = 0
            async for line in response.aiter_lines():
                num_frames += line.startswith(("data: ", ": "))
                if line.startswith('data: {"error"'):
                    self._note_error(httpx.codes.INTERNAL_SERVER_ERROR, json.loads(line[6:])["error"]["code"])
                    return
                if line == "data: [DONE]":
                    self._report.ends["finished"] += 1
                    return
                if max_frames is not None and num_frames > max_frames:
                    self._report.ends["cancelled"] += 1
                    return
        self._report.ends["cut"] += 1

    def _note_error(self, status: int, code: str) -> None:
        is_refused = status in {429, 503}
        self._report.ends["refused" if is_refused else "errored"] += 1
        self._report.details[code] += 1


@asynccontextmanager
async def _counting_kernel(server: JupyterProcess, report: Report) -> AsyncIterator[None]:
    """Have a kernel of the server count, and note what arrives."""
    async with httpx.AsyncClient(base_url=server.url, headers=_AUTHORIZATION, timeout=60) as http:
        kernel = (await http.post("api/kernels", json={})).json()["id"]
        url = f"{server.url.replace('http', 'ws', 1)}api/kernels/{kernel}/channels?token={TOKEN}"
        socket = await websocket_connect(url)
        listening = asyncio.create_task(_listen(socket, report))
        code = f"import time\nn = 0\nwhile True:\n    print(n, flush=True)\n    n += 1\n    time.sleep({1 / _COUNTS_A_SECOND})"
        header = {
            "msg_id": "count",
            "msg_type": "execute_request",
            "session": "soak",
            "username": "soak",
            "version": "5.3",
        }
        message = {
            "channel": "shell",
            "header": header,
            "parent_header": {},
            "metadata": {},
            "content": {"code": code, "silent": False},
        }
        await socket.write_message(json.dumps(message))
        try:
            yield
        finally:
            await http.delete(f"api/kernels/{kernel}")
            socket.close()
            await asyncio.gather(listening, return_exceptions=True)


async def _listen(socket: Any, report: Report) -> None:
    last = None
    try:
        while (text := await socket.read_message()) is not None:
            message = json.loads(text)
            if message.get("msg_type") != "stream":
                continue
            now = time.monotonic()
            report.longest_count_gap_seconds = max(report.longest_count_gap_seconds, now - (last or now))
            last = now
            report.counts += map(int, message["content"]["text"].split())
    except WebSocketClosedError:
        return


async def _watch(server: JupyterProcess, report: Report) -> None:
    process = psutil.Process(server.process.pid)
    while True:
        report.samples.append(_sample(process))
        await asyncio.sleep(_SAMPLE_SECONDS)


def _sample(process: psutil.Process) -> Sample:
    return Sample(process.memory_info().rss, process.num_threads(), process.num_fds())


async def _kill_now_and_then(server: JupyterProcess, report: Report, seconds: float) -> None:
    while True:
        await asyncio.sleep(seconds)
        for worker in server.workers():
            worker.kill()
            report.num_kills += 1


async def _settle(server: JupyterProcess, report: Report) -> None:
    """Wait until the server says that it is idle; then count once more."""
    async with httpx.AsyncClient(base_url=server.url, headers=_AUTHORIZATION, timeout=60) as http:
        for _ in range(60):
            health = (await http.get("gpt-oss/health")).json()
            report.num_open = health["active_requests"] + health["queued_requests"]
            if not report.num_open:
                break
            await asyncio.sleep(1)
        metrics = (await http.get("metrics")).text
    pattern = r'^gpt_oss_requests_total\{outcome="[^"]*",route="v1/(?:chat/completions|responses)"\} (\S+)'
    report.num_counted_by_server = int(sum(map(float, re.findall(pattern, metrics, flags=re.MULTILINE))))
    await asyncio.sleep(2 * _SAMPLE_SECONDS)  # idle connections are closed by both sides
    report.samples.append(_sample(psutil.Process(server.process.pid)))
    report.num_log_faults = server.log.count("Traceback")


async def soak(
    server: JupyterProcess, *, seconds: float, num_clients: int, kill_seconds: float, seed: int
) -> Report:
    """Load a server for so long, and report."""
    report = Report()
    async with httpx.AsyncClient(
        base_url=server.openai_url, headers=_AUTHORIZATION, timeout=_HANG_SECONDS
    ) as http:
        await http.post("load", json={})
    async with _counting_kernel(server, report):
        clients = Clients(server, report, seed)
        asking = asyncio.create_task(clients.run(num_clients))
        others = [
            asyncio.create_task(_watch(server, report)),
            asyncio.create_task(_kill_now_and_then(server, report, kill_seconds)),
        ]
        await asyncio.wait({asking}, timeout=seconds)
        clients.is_over.set()
        await asking
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await _settle(server, report)
    return report


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description="Load a Jupyter server, and see that nothing is lost.")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--kill-seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as name,
        jupyter_process(Path(name) / "home", "server", "--port=0") as server,
    ):
        report = asyncio.run(
            soak(
                server,
                seconds=60 * arguments.minutes,
                num_clients=arguments.clients,
                kill_seconds=arguments.kill_seconds,
                seed=arguments.seed,
            )
        )
    report.print()
    sys.exit(1 if report.faults else 0)


if __name__ == "__main__":
    main()
