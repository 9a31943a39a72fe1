"""Turn a server's address into load: clients that chat, stream, call tools, go on from responses and leave."""

import asyncio
import json
import random
import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import httpx

from benchmarks.soak_report import Report

HANG_SECONDS = 180.0
"""A request that has not ended after so long hangs, whatever arrives of it: a keep-alive ends nothing."""
_QUESTIONS = ("Hello!", "Tell me a story.", "Count to 20.", "What is 12 + 30?", "Who wrote Hamlet?")
_TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the weather of a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


class Clients:
    """Ask, until they are told to stop, and note how each request ends.

    Args:
        url: the base URL of OpenAI's routes.
        key: opens them.
        report: where it is noted.
        seed: of what they ask, and when.
        hang_seconds: after which a request is given up as hung.
    """

    def __init__(
        self, url: str, key: str, report: Report, seed: int, *, hang_seconds: float = HANG_SECONDS
    ) -> None:
        self._report = report
        self._random = random.Random(seed)
        self._hang_seconds = hang_seconds
        headers = {"Authorization": f"Bearer {key}"}
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
        timeout = (
            2 * hang_seconds
        )  # of a read, which every keep-alive begins anew; `_account` has the one that counts
        self._http = httpx.AsyncClient(base_url=url, headers=headers, timeout=timeout, limits=limits)
        self._kinds: dict[str, Callable[[], Awaitable[None]]] = {
            "chat": self._chat,
            "stream": self._stream,
            "leave": self._leave,
            "tool": self._tool,
            "responses": self._responses,
        }
        self.is_over = asyncio.Event()

    async def run(self, num_clients: int) -> None:
        """Return when the last request has ended after `is_over` was set."""
        async with self._http:
            await asyncio.gather(*(self._client() for _ in range(num_clients)))

    async def each_once(self, *kinds: str) -> None:
        """Send a request of each of these kinds, or of every kind, one after the other."""
        async with self._http:
            for kind in kinds or self._kinds:
                await self._kinds[kind]()

    async def _client(self) -> None:
        while not self.is_over.is_set():
            await self._random.choice(list(self._kinds.values()))()
            await asyncio.sleep(self._random.uniform(0.0, 0.2))

    def _body(self, **fields: Any) -> dict[str, Any]:
        question = {"role": "user", "content": self._random.choice(_QUESTIONS)}
        max_tokens = self._random.choice((8, 64, 200))
        return {"model": "demo", "messages": [question], "max_tokens": max_tokens, **fields}

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

    async def _stream(self) -> None:
        await self._account(self._read_stream(max_frames=None))

    async def _leave(self) -> None:
        await self._account(self._read_stream(max_frames=self._random.randrange(12)))

    async def _whole(self, path: str, body: dict[str, Any]) -> dict[str, Any] | None:
        answers: list[dict[str, Any]] = []
        await self._account(self._read_whole(path, body, answers))
        return answers[0] if answers else None

    async def _account(self, request: Coroutine[Any, Any, str]) -> None:
        """See a request to its end, in time or not, and count it by what became of it."""
        self._report.num_sent += 1
        start = time.monotonic()
        try:
            async with asyncio.timeout(self._hang_seconds):
                end = await request
        except TimeoutError:
            end = "hung"
        except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
            end = "broken"
            self._report.breaks[type(error).__name__] += 1
        self._report.ends[end] += 1
        seconds = time.monotonic() - start
        self._report.longest_request_seconds = max(self._report.longest_request_seconds, seconds)

    async def _read_whole(self, path: str, body: dict[str, Any], answers: list[dict[str, Any]]) -> str:
        response = await self._http.post(path, json=body)
        answer: dict[str, Any] = response.json()
        if response.status_code != httpx.codes.OK:
            return self._refused_or_errored(response.status_code, answer)
        _ = answer["id"]
        answers.append(answer)
        return "finished"

    async def _read_stream(self, max_frames: int | None) -> str:
        async with self._http.stream("POST", "chat/completions", json=self._body(stream=True)) as response:
            if response.status_code != httpx.codes.OK:
                return self._refused_or_errored(response.status_code, json.loads(await response.aread()))
            num_frames = 0
            async for line in response.aiter_lines():
                num_frames += line.startswith(("data: ", ": "))
                if line.startswith('data: {"error"'):
                    return self._refused_or_errored(httpx.codes.OK, json.loads(line[6:]))
                if line == "data: [DONE]":
                    return "finished"
                if max_frames is not None and num_frames > max_frames:
                    return "cancelled"
        return "cut"

    def _refused_or_errored(self, status: int, body: dict[str, Any]) -> str:
        self._report.codes[body["error"]["code"]] += 1
        return "refused" if status in {429, 503} else "errored"
