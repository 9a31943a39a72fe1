"""Many thin notebook servers with a kernel each, against one engine: right answers, fair shares, memory.

    python -m benchmarks.twenty_servers [--servers 20]

Every server is a real `jupyter server` in a home of its own, and every question a `%%oss` cell in a kernel that it started.
All ask at once, twice: alone, and while the first user has fifty requests open. That user's own cell waits behind the fifty,
as every cell would by arrival. An answer is right if it is what the engine answers when asked directly.
"""

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty
from typing import Any

import httpx
import psutil
from jupyter_client.asynchronous.client import AsyncKernelClient

from tests.support.jupyter_process import TOKEN, JupyterProcess, jupyter_process

ENGINE_KEY = "sk-engine"
MANY_REQUESTS = 50
_CELL = """%%oss --new --temperature 0 -e low -o answer
{question}"""
_MAX_ATTEMPTS = 60
_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class User:
    """A thin server and a kernel of its."""

    server: JupyterProcess
    kernel: AsyncKernelClient
    question: str

    async def run(self, code: str) -> str:
        """Run a cell, and return what it printed."""
        printed: list[str] = []

        def take(message: dict[str, Any]) -> None:
            if message["msg_type"] == "stream":
                printed.append(message["content"]["text"])

        reply = await self.kernel.execute_interactive(code, timeout=_SECONDS, output_hook=take)
        assert reply["content"]["status"] == "ok", reply["content"]
        return "".join(printed)

    async def ask(self) -> "Answer":
        """Ask in a cell."""
        start = time.perf_counter()
        await self.run(_CELL.format(question=self.question))
        end = time.perf_counter()
        return Answer((await self.run("print(answer.text)")).strip(), end - start, end)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a request."""

    text: str
    seconds: float
    end: float
    """When it was whole; comparable within a run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What was measured."""

    num_right: int
    num_asked: int
    alone_seconds: list[float]
    """Of every user but the first, all asking at once."""
    beside_seconds: list[float]
    """The same while the first has fifty requests open."""
    num_before: list[int]
    """How many of the fifty were answered before each of these cells."""
    behind_seconds: float
    """Of the first user's own cell, sent at the same moment."""
    many_seconds: list[float]
    """Of the fifty."""
    server_bytes: int
    """Memory that a thin server has for itself, the median."""
    kernel_bytes: int
    engine_bytes: int
    """Of the engine's server and its worker together."""

    def text(self) -> str:
        """Return the findings for a person."""
        alone, beside, many = self.alone_seconds, self.beside_seconds, self.many_seconds
        before = self.num_before
        lines = (
            f"right answers: {self.num_right} of {self.num_asked}",
            f"a cell beside all others: {_spread(alone)}",
            f"the same while one user has {len(many)} requests open: {_spread(beside)}",
            f"of the {len(many)}, answered before such a cell: {statistics.median(before):.0f}, most {max(before)}",
            f"that user's own cell, behind them: {self.behind_seconds:.2f} s",
            f"that user's requests: {_spread(many)}",
            f"memory of a thin server: {self.server_bytes / 1e6:.0f} MB",
            f"of its kernel: {self.kernel_bytes / 1e6:.0f} MB",
            f"of the engine, once: {self.engine_bytes / 1e6:.0f} MB",
        )
        return "\n".join(lines)


def _spread(seconds: list[float]) -> str:
    return f"median {statistics.median(seconds):.2f} s, longest {max(seconds):.2f} s"


async def measure(
    home: Path, num_servers: int, num_many: int = MANY_REQUESTS, engine_options: tuple[str, ...] = ()
) -> Findings:
    """Start everything, ask, and stop everything.

    Args:
        home: an empty folder.
        num_servers: at least 2.
        num_many: requests that the first user has open at once.
        engine_options: of the server with the engine.
    """
    command = ("mlx-gpt-oss", "--port=0", f"--GptOss.api_key={ENGINE_KEY}", *engine_options)
    with ExitStack() as stack:
        engine = stack.enter_context(jupyter_process(home / "engine", *command))
        users = [await _user(stack, home / f"user-{number}", engine, number) for number in range(num_servers)]
        expected = [_direct(engine, user.question) for user in users]
        answers = await _all_ask(users)
        many, beside = await _beside_many(users, num_many)
        asked = zip([*answers, *beside], [*expected, *expected], strict=True)
        return Findings(
            num_right=sum(answer.text == wanted for answer, wanted in asked),
            num_asked=2 * num_servers,
            alone_seconds=[answer.seconds for answer in answers[1:]],
            beside_seconds=[answer.seconds for answer in beside[1:]],
            num_before=[sum(one.end < answer.end for one in many) for answer in beside[1:]],
            behind_seconds=beside[0].seconds,
            many_seconds=[one.seconds for one in many],
            server_bytes=int(statistics.median(_own_bytes(user.server.process.pid) for user in users)),
            kernel_bytes=int(statistics.median(_kernel_bytes(user) for user in users)),
            engine_bytes=_own_bytes(engine.process.pid)
            + sum(_own_bytes(worker.pid) for worker in engine.workers()),
        )


async def _user(stack: ExitStack, home: Path, engine: JupyterProcess, number: int) -> User:
    server = stack.enter_context(
        jupyter_process(
            home,
            "server",
            "--port=0",
            f"--GptOss.engine_url={engine.openai_url}",
            f"--GptOssRemote.key={ENGINE_KEY}",
            f"--GptOss.api_key=sk-user-{number}",
        )
    )
    headers = {"Authorization": f"Bearer {TOKEN}"}
    made = await asyncio.to_thread(
        httpx.post, f"{server.url}api/kernels", json={"name": "python3"}, headers=headers, timeout=120
    )
    (file,) = (home / "runtime").glob(f"kernel-{made.raise_for_status().json()['id']}.json")
    kernel = AsyncKernelClient(connection_file=str(file))
    kernel.load_connection_file()
    kernel.start_channels()
    stack.callback(kernel.stop_channels)
    await _until_heard(kernel)
    user = User(server, kernel, f"Count to {number % 8 + 3}.")
    await user.run("%load_ext jupyter_mlx_gpt_oss")
    await user.run("%oss status")  # finds the server, which is no part of what is measured
    return user


async def _until_heard(kernel: AsyncKernelClient) -> None:
    """Wait for a kernel, and until what it publishes arrives: what it published before is lost to who comes late.

    wait_for_ready takes a busy machine's kernel for dead.
    """
    for _ in range(_MAX_ATTEMPTS):
        await kernel.kernel_info(reply=True, timeout=120)
        with suppress(Empty):
            await kernel.get_iopub_msg(timeout=1)
            return
    raise AssertionError("the kernel's outputs are not heard")


def _direct(engine: JupyterProcess, question: str) -> str:
    answer = httpx.post(
        f"{engine.openai_url}/chat/completions",
        json={
            "messages": [{"role": "user", "content": question}],
            "temperature": 0,
            "reasoning_effort": "low",
        },
        headers={"Authorization": f"Bearer {ENGINE_KEY}"},
        timeout=_SECONDS,
    )
    content: str = answer.raise_for_status().json()["choices"][0]["message"]["content"]
    return content.strip()


async def _all_ask(users: list[User]) -> list[Answer]:
    return await asyncio.gather(*(user.ask() for user in users))


async def _beside_many(users: list[User], num_many: int) -> tuple[list[Answer], list[Answer]]:
    """Have the first user send many requests, and then every user one cell."""
    url = f"{users[0].server.openai_url}/chat/completions"
    headers = {"Authorization": "Bearer sk-user-0"}
    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(headers=headers, timeout=_SECONDS, limits=limits) as client:

        async def one(number: int) -> Answer:
            start = time.perf_counter()
            body = {"messages": [{"role": "user", "content": f"Tell me about {number}."}], "max_tokens": 40}
            answer = await client.post(url, json=body)
            assert answer.status_code == httpx.codes.OK, answer.text
            end = time.perf_counter()
            return Answer(answer.text, end - start, end)

        many = [asyncio.ensure_future(one(number)) for number in range(num_many)]
        health = f"{users[0].server.url}gpt-oss/health"
        # All are open, or the first has already been answered.
        while not any(each.done() for each in many):
            if (await client.get(health)).json()["active_requests"] >= num_many:
                break
            await asyncio.sleep(0.05)  # the processor is theirs
        beside = await _all_ask(users)
        return await asyncio.gather(*many), beside


def _own_bytes(pid: int) -> int:
    """Return the memory that a process shares with no other."""
    return int(psutil.Process(pid).memory_full_info().uss)


def _kernel_bytes(user: User) -> int:
    kernels = psutil.Process(user.server.process.pid).children()
    return max(_own_bytes(kernel.pid) for kernel in kernels)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Measure many thin servers against one engine.")
    parser.add_argument("--servers", type=int, default=20)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        findings = asyncio.run(measure(Path(home), arguments.servers))
    print(findings.text())
    if arguments.json:
        fields = {name: getattr(findings, name) for name in Findings.__slots__}
        arguments.json.write_text(json.dumps(fields))


if __name__ == "__main__":
    main()
