"""Load a real Jupyter server for half an hour, kill its engine process every minute, and see that nothing is lost.

    python -m benchmarks.soak [--minutes 30] [--clients 16] [--kill-seconds 60] [--seed 0]

Clients chat, stream, call tools, go on from responses and leave at random moments. Every request must be accounted for, by the clients
and by the server's own metrics; none may hang, and only the errors of `soak_report.ACCEPTED_CODES` may be told. The server must not
grow: memory, threads, file descriptors, open requests. A kernel of the same server counts all the while, without a gap in its numbers
or in time. The bounds stand in `soak_report`; the short form is tests/faults/test_soak.py. Exits with 1 if anything does not hold.
"""

import argparse
import asyncio
import contextlib
import json
import re
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import psutil
from tornado.websocket import WebSocketClosedError, websocket_connect

from benchmarks.soak_clients import HANG_SECONDS, Clients
from benchmarks.soak_report import Counts, Report, Sample
from tests.support.jupyter_process import TOKEN, JupyterProcess, jupyter_process

_SAMPLE_SECONDS = 5.0
_REST_SECONDS = 60.0  # at most, until the server is idle
_CLOSE_SECONDS = 10.0  # at most, until it has closed what is closed
_COUNTING = "import time\nn = 0\nwhile True:\n    print(n, flush=True)\n    n += 1\n    time.sleep(0.1)"
_TRACEBACK = r"^(?!\[IPKernelApp\]).*\nTraceback "  # a kernel that is shut down while it runs says so with one of its own
_AUTHORIZATION = {"Authorization": f"token {TOKEN}"}


def _http(server: JupyterProcess) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=server.url, headers=_AUTHORIZATION, timeout=60)


# -- the kernel that counts ------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def _counting_kernel(server: JupyterProcess, counts: Counts) -> AsyncIterator[None]:
    """Have a kernel of the server count, and note what arrives."""
    async with _http(server) as http:
        kernel = (await http.post("api/kernels", json={})).json()["id"]
        url = f"{server.url.replace('http', 'ws', 1)}api/kernels/{kernel}/channels?token={TOKEN}"
        socket = await websocket_connect(url)
        has_begun = asyncio.Event()
        listening = asyncio.create_task(_listen(socket, counts, has_begun))
        await socket.write_message(json.dumps(_execute_request(_COUNTING)))
        await asyncio.wait_for(has_begun.wait(), 60)
        try:
            yield
        finally:
            counts.add((), time.monotonic())  # how long it has been silent
            await http.delete(f"api/kernels/{kernel}")
            socket.close()
            await asyncio.wait({listening}, timeout=_CLOSE_SECONDS)


async def _listen(socket: Any, counts: Counts, has_begun: asyncio.Event) -> None:
    try:
        while (text := await socket.read_message()) is not None:
            message = json.loads(text)
            if message.get("msg_type") == "stream":
                counts.add([*map(int, message["content"]["text"].split())], time.monotonic())
                has_begun.set()
    except WebSocketClosedError:
        return


def _execute_request(code: str) -> dict[str, Any]:
    names = {"msg_id": "count", "session": "soak", "username": "soak"}
    return {
        "channel": "shell",
        "header": {**names, "msg_type": "execute_request", "version": "5.3"},
        "parent_header": {},
        "metadata": {},
        "content": {"code": code, "silent": False},
    }


# -- the server -------------------------------------------------------------------------------------------------------


def _sample(server: JupyterProcess) -> Sample:
    process = psutil.Process(server.process.pid)
    return Sample(process.memory_info().rss, process.num_threads(), process.num_fds())


async def _watch(server: JupyterProcess, report: Report) -> None:
    while True:
        report.under_load.append(_sample(server))
        await asyncio.sleep(_SAMPLE_SECONDS)


async def _kill_now_and_then(server: JupyterProcess, report: Report, seconds: float) -> None:
    while True:
        await asyncio.sleep(seconds)
        for worker in server.workers():
            with contextlib.suppress(psutil.NoSuchProcess):
                worker.kill()
                report.num_kills += 1


async def _num_open_at_rest(server: JupyterProcess) -> int:
    """Wait until the server says that it is idle; return how many requests are open all the same."""
    deadline = time.monotonic() + _REST_SECONDS
    async with _http(server) as http:
        while True:
            health = (await http.get("gpt-oss/health")).json()
            num_open: int = health["active_requests"] + health["queued_requests"]
            if not num_open or time.monotonic() > deadline:
                return num_open
            await asyncio.sleep(0.5)


async def _num_counted(server: JupyterProcess) -> int:
    """Return how many requests the server has counted."""
    async with _http(server) as http:
        metrics = (await http.get("metrics")).text
    pattern = r'^gpt_oss_requests_total\{outcome="[^"]*",route="v1/(?:chat/completions|responses)"\} (\S+)'
    return int(sum(map(float, re.findall(pattern, metrics, flags=re.MULTILINE))))


async def _warm_up(server: JupyterProcess, seed: int) -> Sample:
    """Have the server do once what it will do often, for what it keeps of that is no growth; return it at rest."""
    async with _counting_kernel(server, Counts()):
        await Clients(server.openai_url, TOKEN, Report(), seed).each_once()
    await _num_open_at_rest(server)
    await asyncio.sleep(_CLOSE_SECONDS / 5)
    return _sample(server)


async def _cool_down(server: JupyterProcess, before: Sample) -> Sample:
    """Return the server once it has closed what its clients have, if it ever does."""
    deadline = time.monotonic() + _CLOSE_SECONDS
    while (sample := _sample(server)).num_files > before.num_files and time.monotonic() < deadline:
        await asyncio.sleep(0.5)
    return sample


# -- the whole --------------------------------------------------------------------------------------------------------


async def soak(
    server: JupyterProcess, *, seconds: float, num_clients: int, kill_seconds: float, seed: int
) -> Report:
    """Load a server for so long, and report."""
    report = Report()
    report.before = await _warm_up(server, seed)
    num_counted_before = await _num_counted(server)
    async with _counting_kernel(server, report.counts):
        clients = Clients(server.openai_url, TOKEN, report, seed)
        asking = asyncio.create_task(clients.run(num_clients))
        others = [
            asyncio.create_task(_watch(server, report)),
            asyncio.create_task(_kill_now_and_then(server, report, kill_seconds)),
        ]
        await asyncio.wait({asking}, timeout=seconds)
        clients.is_over.set()
        await asyncio.wait_for(
            asking, 2 * HANG_SECONDS + _REST_SECONDS
        )  # a client has two requests at most to end
        for task in others:
            task.cancel()
        for result in await asyncio.gather(*others, return_exceptions=True):
            if isinstance(result, Exception):
                raise result
    report.num_open = await _num_open_at_rest(server)
    report.num_counted_by_server = await _num_counted(server) - num_counted_before
    report.after = await _cool_down(server, report.before)
    report.num_log_faults = len(re.findall(_TRACEBACK, server.log, flags=re.MULTILINE))
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
