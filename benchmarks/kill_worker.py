"""Kill the engine process again and again during eight streams, and count how each of them ends.

    python -m benchmarks.kill_worker [--http] [--kills 20] [--checkpoint DIR]

Every stream must end whole, as an undisturbed engine answers, or with an error: never cut as if finished. Exits with 1 if
one does not. Without --http the streams are the engine's own, of tokens drawn with seeds; with it they are a client's, read as
server-sent events from a real Jupyter server, greedy. A connection that ends without `[DONE]` and without an error frame is
counted as `CUT`, an answer other than the undisturbed one as `WRONG`. At the end the model is unloaded, and no engine process
may be left.
"""

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import httpx
import psutil

from benchmarks.conversations import story
from benchmarks.make_checkpoint import make_checkpoint
from benchmarks.results import OUT, keep
from jupyter_mlx_gpt_oss.engine.base import EngineState
from jupyter_mlx_gpt_oss.engine.config import EngineConfig
from jupyter_mlx_gpt_oss.engine.engine_process import EngineProcess
from jupyter_mlx_gpt_oss.engine.request import FinishReason, GenerationRequest, TokenOutput
from jupyter_mlx_gpt_oss.engine.sampling import SamplingParams
from jupyter_mlx_gpt_oss.errors import EngineDeadError
from tests.support.jupyter_process import TOKEN, JupyterProcess, jupyter_process

_NUM_STREAMS, _NUM_TOKENS = 8, 400
_FAULTS = ("CUT", "WRONG", "LEFT")

Ends = Counter[str]
"""Of streams, by `whole`, `error` and the faults; and how often there was a `kill`."""


async def _disturbed(
    stream: Callable[[int, int], Awaitable[str]], kill: Callable[[], Awaitable[int]], kills: int
) -> Ends:
    """Keep eight streams running until the process was killed so often; count the ends.

    Args:
        stream: takes which of the eight it is, and the how manieth of that; says how it ended.
        kill: waits for an engine process that runs, kills it, and says how many there were.
        kills: how often.
    """
    ends: Ends = Counter()
    is_over = asyncio.Event()

    async def keep_asking(index: int) -> None:
        number = 0
        while not is_over.is_set():
            number += 1
            ends[await stream(index, number)] += 1

    streams = [asyncio.create_task(keep_asking(index)) for index in range(_NUM_STREAMS)]
    for _ in range(kills):
        ends["kill"] += await kill()
    is_over.set()
    await asyncio.wait_for(asyncio.gather(*streams), 300)
    return ends


# -- the engine's own streams -------------------------------------------------------------------------------------


async def _answer(engine: EngineProcess, name: str, index: int) -> tuple[int, ...]:
    request = GenerationRequest(
        request_id=name,
        prompt_token_ids=tuple(range(1 + index, 40 + index)),
        max_tokens=_NUM_TOKENS,
        stop_token_ids=(),
        sampling=SamplingParams(seed=index),
    )
    tokens: list[int] = []
    async for output in engine.generate(request):
        if isinstance(output, TokenOutput):
            tokens += output.token_ids
            if output.finish_reason is FinishReason.ABORT:
                raise AssertionError("nobody aborted")
    return tuple(tokens)


async def _through_engine(kills: int, model: str) -> Ends:
    engine, source = EngineProcess(EngineConfig(model=model)), random.Random(0)

    async def stream(index: int, number: int) -> str:
        try:
            tokens = await _answer(engine, f"{index}-{number}", index)
        except EngineDeadError:
            return "error"
        return "whole" if tokens == expected[index] else "WRONG"

    async def kill() -> int:
        await engine.load()
        await asyncio.sleep(source.uniform(0.1, 2.0))
        workers = psutil.Process().children()
        for worker in workers:
            worker.kill()
        while engine.status().state is EngineState.READY:
            await asyncio.sleep(0.01)  # until the engine knows
        return len(workers)

    try:
        expected = [await _answer(engine, f"expected-{index}", index) for index in range(_NUM_STREAMS)]
        ends = await _disturbed(stream, kill, kills)
    finally:
        await engine.stop()
    ends["LEFT"] = len(psutil.Process().children())
    return ends


# -- a client's streams -------------------------------------------------------------------------------------------


async def _data(http: httpx.AsyncClient, body: dict[str, Any]) -> AsyncIterator[str]:
    """Yield the data of a stream's frames; what was refused is its error alone."""
    async with http.stream("POST", "chat/completions", json=body) as response:
        async for line in response.aiter_lines():
            if line.startswith("data: ") or not response.is_success:
                yield line.removeprefix("data: ")


async def _read(http: httpx.AsyncClient, index: int) -> tuple[str, str]:
    """Return how a stream ended, as a client can tell, and its text."""
    question = {"model": "any", "messages": story(index), "max_tokens": _NUM_TOKENS, "temperature": 0.0}
    text, is_finished = "", False
    async with aclosing(_data(http, {**question, "stream": True})) as frames:
        async for data in frames:
            if data == "[DONE]":
                return ("whole" if is_finished else "CUT"), text
            frame = json.loads(data)
            if "error" in frame:
                return "error", text
            for choice in frame["choices"]:
                text += choice["delta"].get("reasoning") or choice["delta"].get("content") or ""
                is_finished = is_finished or choice["finish_reason"] is not None
    return "CUT", text


async def _through_http(server: JupyterProcess, kills: int) -> Ends:
    source, headers = random.Random(0), {"Authorization": f"Bearer {TOKEN}"}

    async def stream(index: int, number: int) -> str:
        del number
        try:
            end, text = await _read(http, index)
        except httpx.RemoteProtocolError:
            return "CUT"
        return "WRONG" if end == "whole" and text != expected[index][1] else end

    async def kill() -> int:
        while (await http.get("../health")).json()["state"] != "ready":
            await asyncio.sleep(0.05)
        await asyncio.sleep(source.uniform(0.1, 2.0))
        workers = server.workers()
        for worker in workers:
            worker.kill()
        while workers and (await http.get("../health")).json()["state"] == "ready":
            await asyncio.sleep(0.01)  # until the server knows
        return len(workers)

    async with httpx.AsyncClient(base_url=f"{server.openai_url}/", headers=headers, timeout=300) as http:
        expected = [await _read(http, index) for index in range(_NUM_STREAMS)]
        assert {end for end, _ in expected} == {"whole"}
        ends = await _disturbed(stream, kill, kills)
        (await http.post("unload", json={})).raise_for_status()
    ends["LEFT"] = len(server.workers())
    return ends


def _serve_and_kill(kills: int, model: str) -> Ends:
    with (
        tempfile.TemporaryDirectory() as home,
        jupyter_process(Path(home), "server", "--port=0", f"--GptOss.model={model}") as server,
    ):
        return asyncio.run(_through_http(server, kills))


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description="Kill the engine process during eight streams.")
    parser.add_argument("--http", action="store_true", help="through a real Jupyter server")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--checkpoint", type=Path, help="left out: a tiny one; with --http the demo")
    arguments = parser.parse_args()
    start = time.monotonic()
    if arguments.http:
        ends = _serve_and_kill(arguments.kills, str(arguments.checkpoint or "demo"))
    else:
        checkpoint = arguments.checkpoint or make_checkpoint("tiny", OUT / "tiny")
        ends = asyncio.run(_through_engine(arguments.kills, str(checkpoint)))
    print(dict(ends), f"{time.monotonic() - start:.0f} s")
    keep("kill_worker", {"http" if arguments.http else "engine": dict(ends)})
    sys.exit(1 if any(ends[fault] for fault in _FAULTS) else 0)


if __name__ == "__main__":
    main()
