"""Turn a fault of a process or of a client on one server into what users see: a cell of the table, and its numbers."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil

from benchmarks.peer_fault_probe import (
    Cell,
    Running,
    Stream,
    answers_next,
    body,
    outcome,
    running,
    seconds_of_computing,
    stream,
    until_frames,
    verdict,
)
from benchmarks.peers import Peer
from benchmarks.results import OUT

_WATCH_SECONDS = 15.0  # how long a server is watched that should stop computing
_STOP_SECONDS = 60.0  # how long a process is waited for that should end
_LONG_TOKENS, _MIDDLE_TOKENS = 8000, 1000
_QUESTION = "Tell me a story."
_SITE = Path(__file__).parent / "peer_fault_site"


def client_leaves(peer: Peer, model: Path) -> Cell:
    """A client closes its connection after a few frames."""
    with running(peer, model) as server:
        seen = Stream()
        asyncio.run(stream(server, body(_QUESTION, _LONG_TOKENS), seen, max_frames=10))
        return _left(server)


def client_of_a_whole_answer_leaves(peer: Peer, model: Path) -> Cell:
    """A client that asked for no stream closes its connection."""

    async def leave(server: Running) -> None:
        async with server.client() as client:
            try:
                await client.post("chat/completions", json=body(_QUESTION, _LONG_TOKENS), timeout=2.0)
            except httpx.TimeoutException:
                return
        raise RuntimeError("the answer was there within two seconds: the model is too fast for this")

    with running(peer, model) as server:
        asyncio.run(leave(server))
        return _left(server)


def _left(server: Running) -> Cell:
    seconds = seconds_of_computing(server, _WATCH_SECONDS)
    goes_on = seconds >= _WATCH_SECONDS
    text = (
        f"goes on computing, for {_WATCH_SECONDS:.0f} s at least"
        if goes_on
        else f"stops computing within {seconds + 1:.0f} s"
    )
    return {"text": text, "seconds": seconds}


def step_raises(peer: Peer, model: Path) -> Cell:
    """A step of the model raises while one stream is written and another is open."""

    async def watch(server: Running, fault: Path) -> tuple[Stream, Stream, str]:
        first, second = Stream(), Stream()
        request = body(_QUESTION, _MIDDLE_TOKENS)
        streams = [asyncio.create_task(stream(server, request, seen)) for seen in (first, second)]
        await until_frames(first, 10)
        await asyncio.to_thread(fault.touch)
        await asyncio.gather(*streams)
        return first, second, await answers_next(server)

    fault = OUT / "peer_fault"
    fault.unlink(missing_ok=True)
    with _environment(PYTHONPATH=str(_SITE), PEER_FAULT=str(fault)), running(peer, model) as server:
        first, second, then = asyncio.run(watch(server, fault))
        if fault.exists():
            raise RuntimeError("no step raised")
    text = f"the one: {first.in_words}; the other: {second.in_words}; {verdict(then)}"
    return {"text": text, "tokens": [first.num_frames, second.num_frames]}


@contextmanager
def _environment(**variables: str) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def process_killed(peer: Peer, model: Path) -> Cell:
    """The process that computes is killed while it answers."""

    async def kill(server: Running) -> tuple[Stream, str]:
        seen = Stream()
        request = body(_QUESTION, _MIDDLE_TOKENS)
        reading = asyncio.create_task(stream(server, request, seen))
        await until_frames(seen, 10)
        server.engine.kill()
        await reading
        return seen, await answers_next(server)

    with running(peer, model) as server:
        seen, then = asyncio.run(kill(server))
    return {"text": f"{outcome(seen, _MIDDLE_TOKENS)}; {verdict(then)}", "frames": seen.num_frames}


def server_told_to_stop(peer: Peer, model: Path) -> Cell:
    """The server gets SIGTERM while it answers."""

    async def stop(server: Running) -> tuple[Stream, float | None]:
        seen = Stream()
        request = body(_QUESTION, _MIDDLE_TOKENS)
        reading = asyncio.create_task(stream(server, request, seen))
        await until_frames(seen, 10)
        start = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        await reading
        while server.process.is_running() and server.process.status() != psutil.STATUS_ZOMBIE:
            if time.monotonic() - start > _STOP_SECONDS:
                return seen, None
            await asyncio.sleep(0.05)
        return seen, time.monotonic() - start

    with running(peer, model) as server:
        seen, seconds = asyncio.run(stop(server))
    gone = "the process stays" if seconds is None else f"the process is gone after {seconds:.1f} s"
    text = f"the stream {seen.in_words} after {seen.num_frames} frames; {gone}"
    return {"text": text, "seconds": seconds, "frames": seen.num_frames}
