"""Turn a state that a process, a checkpoint or a client is in into what users see: a cell of the table, and its numbers."""

import asyncio
import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import httpx

from benchmarks.peer_fault_probe import (
    Cell,
    Running,
    Stream,
    answers_next,
    body,
    outcome,
    running,
    stream,
    until_frames,
    verdict,
)
from benchmarks.peers import HEADERS, Peer
from benchmarks.results import OUT

_QUESTION = "Tell me a story."
_TOKENS = 1000
_STALL_SECONDS = 5
_SLOW_SECONDS, _SLOW_TOKENS = 20.0, 600
_NUM_QUEUED = 300


def process_stopped(peer: Peer, model: Path) -> Cell:
    """The process that computes is stopped (SIGSTOP) while it answers, and stays so."""

    async def halt(server: Running) -> tuple[Stream, str]:
        seen = Stream()
        reading = asyncio.create_task(stream(server, body(_QUESTION, _TOKENS), seen))
        await until_frames(seen, 10)
        engine = server.engine
        engine.send_signal(signal.SIGSTOP)
        try:
            await reading
            return seen, await answers_next(server)
        finally:
            if engine.is_running():
                engine.send_signal(signal.SIGCONT)

    if peer.name == "ours":  # two minutes by default
        peer = replace(
            peer, command=(*peer.command, f"--GptOssEngine.stall_timeout_seconds={_STALL_SECONDS}")
        )
    with running(peer, model) as server:
        seen, then = asyncio.run(halt(server))
    return {"text": f"{outcome(seen, _TOKENS)}; {verdict(then)}", "frames": seen.num_frames}


def checkpoint_cut_off(peer: Peer, model: Path) -> Cell:
    """A weight file is shorter than it says."""
    broken = OUT / "demo-cut-off"
    shutil.copytree(model, broken, dirs_exist_ok=True)
    [weights] = broken.glob("*.safetensors")
    os.truncate(weights, weights.stat().st_size // 2)
    try:
        with peer.run(broken) as url:
            return {"text": f"the server starts; a request gets {_answer_of(url)}"}
    except RuntimeError:
        return {"text": "the server does not start"}


def _answer_of(url: str) -> str:
    """Return how a small request is answered."""
    try:
        response = httpx.post(f"{url}/chat/completions", json=body("Hello!", 8), headers=HEADERS, timeout=300)
    except httpx.TransportError as error:
        return f"a broken connection ({type(error).__name__})"
    if response.is_success:
        return "an answer all the same"
    try:
        return f"{response.status_code}, `{response.json()['error']['code']}`"
    except (ValueError, KeyError, TypeError):
        return f"{response.status_code}, no error in OpenAI's shape"


def slow_reader(peer: Peer, model: Path) -> Cell:
    """A client does not read its stream for a while, and others ask meanwhile."""

    async def dawdle(server: Running) -> tuple[bool, str]:
        request = {**body(_QUESTION, _SLOW_TOKENS), "stream": True}
        async with (
            httpx.AsyncClient(base_url=server.url, headers=HEADERS, timeout=300) as client,
            client.stream("POST", "chat/completions", json=request) as response,
        ):
            lines = response.aiter_lines()
            await anext(lines)
            then = await answers_next(server)
            await asyncio.sleep(_SLOW_SECONDS)
            rest = [line async for line in lines]
        return "data: [DONE]" in rest, then

    with running(peer, model) as server:
        is_whole, then = asyncio.run(dawdle(server))
    told = "its answer is whole in the end" if is_whole else "its answer is cut"
    return {"text": f"{told}; meanwhile {verdict(then)}"}


def queued_and_cancelled(peer: Peer, model: Path) -> Cell:
    """Many clients ask at once, and all go again."""

    async def crowd(server: Running) -> str:
        asked = [
            asyncio.create_task(stream(server, body(_QUESTION, _TOKENS), Stream()))
            for _ in range(_NUM_QUEUED)
        ]
        await asyncio.sleep(2.0)
        for each in asked:
            each.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
        start = asyncio.get_running_loop().time()
        then = await answers_next(server)
        return f"{verdict(then)}, after {asyncio.get_running_loop().time() - start:.1f} s"

    with running(peer, model) as server:
        return {"text": asyncio.run(crowd(server))}
