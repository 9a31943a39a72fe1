"""How late the notebook server's event loop is while it streams: idle, and with eight streams.

    python -m benchmarks.event_loop_lag [--seconds 20]

A probe within the server (`benchmarks.lag_probe`) sleeps for ten milliseconds at a time, and tells how much later it woke. The
streams have different prompts, and are read by a process of their own. The difference between the two columns is what they cost
everybody else on the same event loop, and on the same processors: on two cores the model and the reader take their share, too, so
that a third column tells what the same load costs an event loop that streams nothing, of a server beside.
"""

import argparse
import asyncio
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from benchmarks.conversations import story, user
from benchmarks.results import keep
from benchmarks.servers import ask
from tests.support.jupyter_process import TOKEN, JupyterProcess, jupyter_process

_NUM_STREAMS = 8
_WARM_SECONDS = 5.0
_PROBE = "--ServerApp.jpserver_extensions={'benchmarks.lag_probe': True}"
_HEADERS = {"Authorization": f"Bearer {TOKEN}"}


def _lags(server: JupyterProcess) -> list[float]:
    """Return how late the server's event loop was since the last time it was asked. Milliseconds."""
    answer = httpx.get(f"{server.url}gpt-oss-lag", headers={"Authorization": f"token {TOKEN}"}, timeout=60)
    answer.raise_for_status()
    lags: list[float] = answer.json()
    return lags


async def _keep_streaming(url: str) -> None:
    async with httpx.AsyncClient(base_url=f"{url}/", headers=_HEADERS, timeout=300) as client:

        async def one(seed: int) -> None:
            while True:
                await ask(client, {"messages": story(seed), "max_tokens": 400})

        await asyncio.gather(*(one(seed) for seed in range(_NUM_STREAMS)))


def _stream(url: str) -> None:
    asyncio.run(_keep_streaming(url))


async def _warm_up(url: str) -> None:
    async with httpx.AsyncClient(base_url=f"{url}/", headers=_HEADERS, timeout=300) as client:
        await ask(client, {"messages": [user("Count to 5.")], "max_tokens": 8})


@contextmanager
def _streaming(url: str) -> Iterator[None]:
    """Keep eight streams going."""
    reader = multiprocessing.get_context("spawn").Process(target=_stream, args=(url,))
    reader.start()
    try:
        time.sleep(_WARM_SECONDS)
        yield
    finally:
        reader.terminate()
        reader.join()


def _measure(seconds: float) -> dict[str, list[float]]:
    with (
        tempfile.TemporaryDirectory() as home,
        jupyter_process(Path(home) / "ours", "server", "--port=0", _PROBE) as ours,
        jupyter_process(Path(home) / "beside", "server", "--port=0", _PROBE) as beside,
    ):
        asyncio.run(_warm_up(ours.openai_url))
        _lags(ours)
        time.sleep(seconds)
        idle = _lags(ours)
        with _streaming(ours.openai_url):
            _lags(ours), _lags(beside)
            time.sleep(seconds)
            return {"idle": idle, "eight streams": _lags(ours), "a server beside": _lags(beside)}


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description="The notebook server's event loop, idle and with streams.")
    parser.add_argument("--seconds", type=float, default=20.0)
    found = _measure(parser.parse_args().seconds)
    print(f"{'ms':6}" + "".join(f"{name:>18}" for name in found))
    for name, percent in (("p50", 50), ("p90", 90), ("p99", 99)):
        row = {column: statistics.quantiles(lags, n=100)[percent - 1] for column, lags in found.items()}
        print(f"{name:6}" + "".join(f"{value:18.2f}" for value in row.values()))
        keep("event_loop_lag", {f"{name} ms": row})


if __name__ == "__main__":
    main()
