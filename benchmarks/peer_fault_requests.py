"""Turn requests that nobody should send to one server into what users see: a cell of the table, and its numbers."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from benchmarks.peer_fault_probe import Cell, Running, Stream, answers_next, body, running, stream, verdict
from benchmarks.peer_fault_values import WRONG_VALUES
from benchmarks.peers import Peer

NUM_PARALLEL = 50
_FEW_TOKENS = 50
_VALUE_SECONDS = 20.0
_HUGE_BYTES = 64 * 1024 * 1024


def wrong_values(peer: Peer, model: Path) -> Cell:
    """Requests with values that nobody should send; a server that no longer answers is started anew."""
    outcomes: Counter[str] = Counter()
    fatal: list[str] = []
    left = list(WRONG_VALUES)
    while left:
        with running(peer, model) as server:
            last = asyncio.run(_send_until_dead(server, left, outcomes))
        if last is not None:
            fatal.append(f"`{json.dumps(last)[:80]}`")
    told = ", ".join(f"{count} {outcome}" for outcome, count in outcomes.most_common())
    then = (
        f"nothing is answered any more after {' or '.join(fatal)}"
        if fatal
        else "the next request is answered after each"
    )
    return {"text": f"{told}; {then}", "outcomes": dict(outcomes), "fatal": fatal}


async def _send_until_dead(
    server: Running, left: list[Mapping[str, Any]], outcomes: Counter[str]
) -> Mapping[str, Any] | None:
    """Send what is left; return after what the server answers no more, None if it outlives all."""
    while left:
        fields = left.pop(0)
        outcomes[await _outcome(server, fields)] += 1
        if await answers_next(server) != "answered":
            return fields
    return None


async def _outcome(server: Running, fields: Mapping[str, Any]) -> str:
    request = {**body("Hi", 4), **fields}
    try:
        async with asyncio.timeout(_VALUE_SECONDS), server.client() as client:
            response = await client.post("chat/completions", content=json.dumps(request).encode())
    except TimeoutError:
        return f"without an answer in {_VALUE_SECONDS:.0f} s"
    except httpx.TransportError:
        return "with a broken connection"
    if response.is_success:
        return "answered"
    return f"refused with {response.status_code}"


def broken_json(peer: Peer, model: Path) -> Cell:
    """A body that ends in its middle."""

    async def send(server: Running) -> tuple[httpx.Response, str]:
        async with server.client() as client:
            cut = json.dumps(body("Hi", 4)).encode()[:-10]
            response = await client.post("chat/completions", content=cut)
        return response, await answers_next(server)

    with running(peer, model) as server:
        response, then = asyncio.run(send(server))
    error = response.json().get("error")
    shape = (
        "OpenAI's error" if isinstance(error, dict) and {"message", "type"} <= set(error) else "another shape"
    )
    return {"text": f"{response.status_code}, {shape}; {verdict(then)}", "body": response.text[:300]}


def huge_body(peer: Peer, model: Path) -> Cell:
    """A body of 64 MiB, in a field that no server reads."""

    async def send(server: Running) -> tuple[str, int, str]:
        request = {**body("Hi", 4), "metadata": {"note": "x" * _HUGE_BYTES}}
        before = most = server.memory_bytes
        async with server.client() as client:
            sending = asyncio.create_task(
                client.post("chat/completions", content=json.dumps(request).encode())
            )
            while not sending.done():
                most = max(most, server.memory_bytes)
                await asyncio.sleep(0.01)
        error = sending.exception()
        outcome = type(error).__name__ if error else str(sending.result().status_code)
        return outcome, most - before, await answers_next(server)

    with running(peer, model) as server:
        outcome, grown, then = asyncio.run(send(server))
    text = f"{outcome}; memory of the server grows by {grown / 2**20:.0f} MiB; {verdict(then)}"
    return {"text": text, "grown_bytes": grown}


def many_at_once(peer: Peer, model: Path) -> Cell:
    """Fifty streams at once."""

    async def send(server: Running) -> tuple[list[Stream], float, float, str]:
        seen = [Stream() for _ in range(NUM_PARALLEL)]
        request = body("Tell me a story.", _FEW_TOKENS)
        start = time.monotonic()
        streams = [asyncio.create_task(stream(server, request, each)) for each in seen]
        longest = await _longest_wait(server, streams)
        return seen, time.monotonic() - start, longest, await answers_next(server)

    with running(peer, model) as server:
        seen, seconds, longest, then = asyncio.run(send(server))
    ends = Counter("finished" if each.end == "done" else each.in_words for each in seen)
    told = ", ".join(f"{count} {end}" for end, count in ends.most_common())
    text = f"{told} in {seconds:.0f} s; meanwhile `v1/models` takes {longest:.2f} s at most; {verdict(then)}"
    return {"text": text, "ends": dict(ends), "seconds": seconds, "longest_models_seconds": longest}


async def _longest_wait(server: Running, streams: "list[asyncio.Task[None]]") -> float:
    """Ask for the list of models until the streams have ended; return the longest that it took."""
    longest = 0.0
    async with server.client() as client:
        while not all(task.done() for task in streams):
            start = time.monotonic()
            await client.get("models")
            longest = max(longest, time.monotonic() - start)
            await asyncio.sleep(0.2)
    return longest
