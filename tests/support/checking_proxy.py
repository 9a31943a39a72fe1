"""A proxy between a thin server and a far one that holds what is sent to vLLM's documents, as completion_rules has them.

    python -m tests.support.checking_proxy http://127.0.0.1:8899/gpt-oss/v1

Prints its own base URL, then a line for each request: `taken`, or `refused` and why; a refused one is answered as vLLM
would. The far server's models are told as vLLM tells its own, so that it is sent what vLLM would be.
"""

import asyncio
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from tornado import web
from tornado.httpserver import HTTPServer
from tornado.iostream import StreamClosedError
from tornado.netutil import bind_sockets
from typing_extensions import override

from tests.support.completion_rules import RefusalError, check_completion

_ROOT = Path(__file__).parents[2]
_START_SECONDS = 60.0
_KEPT_HEADERS = ("Content-Type", "Retry-After")


@contextmanager
def checking_proxy(far_url: str) -> Iterator[str]:
    """Start the proxy in a process of its own, and give its base URL.

    Raises:
        AssertionError: it did not start, or it refused a request.
    """
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report"
        with report.open("wb") as file:
            command = [sys.executable, "-m", "tests.support.checking_proxy", far_url]
            process = subprocess.Popen(command, cwd=_ROOT, stdout=file, stderr=file)
        try:
            yield _first_line(process, report)
        finally:
            process.terminate()
            process.wait(30)
        refused = [line for line in report.read_text().splitlines()[1:] if not line.startswith("taken")]
        assert refused == [], "\n".join(refused[:20])


def _first_line(process: "subprocess.Popen[bytes]", report: Path) -> str:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, report.read_text()
        first, end, _ = report.read_text().partition("\n")
        if end:
            return first
        time.sleep(0.05)  # another process's start has no event to wait for
    raise AssertionError(f"the proxy did not start in {_START_SECONDS:.0f} s")


def _tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


@dataclass(slots=True)
class _Far:
    """The far server, and what it told of its models."""

    url: str
    client: httpx.AsyncClient
    context_lengths: dict[str, int] = field(default_factory=dict)
    """By the model's name; one that is not loaded has none yet."""


class _Handler(web.RequestHandler):
    @override
    def initialize(self, far: _Far) -> None:
        self.far = far

    @property
    def headers(self) -> dict[str, str]:
        key = self.request.headers.get("Authorization")
        return {"Authorization": key} if key else {}


class _Models(_Handler):
    @override
    async def get(self) -> None:
        answer = await self.far.client.get(f"{self.far.url}/models", headers=self.headers)
        self.set_status(answer.status_code)
        self.set_header("Content-Type", "application/json")
        if answer.status_code != httpx.codes.OK:
            self.finish(answer.content)
            return
        body = answer.json()
        for card in body["data"]:
            length = card.pop("context_length", None)
            self.far.context_lengths[card["id"]] = length or sys.maxsize
            card |= {"owned_by": "vllm", "max_model_len": length}
        self.finish(body)


class _Completions(_Handler):
    _task: asyncio.Task[None] | None = None

    @override
    async def post(self) -> None:
        body: dict[str, Any] = json.loads(self.request.body)
        try:
            # A name that is not listed is refused, as is every name before the models were asked for.
            name = next((name for name in self.far.context_lengths if name == body.get("model")), "")
            check_completion(body, model=name, context_length=self.far.context_lengths.get(name, 0))
        except RefusalError as refusal:
            _tell(f"refused: {refusal.message}: {json.dumps(body)[:500]}")
            self.set_status(refusal.status)
            self.finish(refusal.body())
            return
        _tell(f"taken: {len(body['prompt'])} tokens, {', '.join(sorted(body))}")
        self._task = asyncio.ensure_future(self._pass_on())
        with contextlib.suppress(asyncio.CancelledError, StreamClosedError, httpx.TransportError):
            await self._task  # what breaks off there breaks off here

    @override
    def on_connection_close(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _pass_on(self) -> None:
        """Send the request to the far server, and its answer back as it comes."""
        url, content = f"{self.far.url}/completions", self.request.body
        headers = {**self.headers, "Content-Type": "application/json"}
        async with self.far.client.stream("POST", url, content=content, headers=headers) as answer:
            self.set_status(answer.status_code)
            for name in _KEPT_HEADERS:
                if name in answer.headers:
                    self.set_header(name, answer.headers[name])
            async for piece in answer.aiter_bytes():
                self.write(piece)
                await self.flush()
        await self.finish()


async def _serve(far_url: str) -> None:
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    async with httpx.AsyncClient(timeout=None, limits=limits, trust_env=False) as client:
        far = _Far(far_url.rstrip("/"), client)
        routes = [(r"/v1/models", _Models, {"far": far}), (r"/v1/completions", _Completions, {"far": far})]
        sockets = bind_sockets(0, "127.0.0.1")
        HTTPServer(web.Application(routes, log_function=lambda _: None)).add_sockets(sockets)
        _tell(f"http://127.0.0.1:{sockets[0].getsockname()[1]}/v1")
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1]))
