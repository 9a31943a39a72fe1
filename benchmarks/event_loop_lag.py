"""How much later the notebook server answers others while it streams: its event loop, idle and with eight streams.

    python -m benchmarks.event_loop_lag [--seconds 15]

Asks `gpt-oss/health`, which waits for nothing, twenty times a second, once without and once with eight streams of different
prompts; the difference between the two columns is what the streams cost everybody else on the same event loop, and on the same
processors.
"""

import argparse
import asyncio
import statistics
import time

import httpx

from benchmarks.conversations import story, user
from benchmarks.peers import HEADERS, PEERS
from benchmarks.results import OUT, keep
from benchmarks.servers import ask
from jupyter_mlx_gpt_oss import demo

_NUM_STREAMS = 8


async def _latencies(client: httpx.AsyncClient, seconds: float) -> list[float]:
    """Return how long each answer of /health took. Milliseconds."""
    found, end = [], time.perf_counter() + seconds
    while (start := time.perf_counter()) < end:
        (await client.get("../health")).raise_for_status()
        found.append(1000 * (time.perf_counter() - start))
        await asyncio.sleep(0.05)
    return found


async def _measure(url: str, seconds: float) -> tuple[list[float], list[float]]:
    async with httpx.AsyncClient(base_url=f"{url}/", headers=HEADERS, timeout=300) as client:
        await ask(client, {"messages": [user("Count to 5.")], "max_tokens": 8})
        idle = await _latencies(client, seconds)

        async def keep_streaming(seed: int) -> None:
            while True:
                await ask(client, {"messages": story(seed), "max_tokens": 400})

        streams = [asyncio.create_task(keep_streaming(seed)) for seed in range(_NUM_STREAMS)]
        busy = await _latencies(client, seconds)
        for stream in streams:
            stream.cancel()
        await asyncio.gather(*streams, return_exceptions=True)
        return idle, busy


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(
        description="The notebook server's event loop, idle and with eight streams."
    )
    parser.add_argument("--seconds", type=float, default=15.0)
    arguments = parser.parse_args()
    ours = PEERS[0]
    OUT.mkdir(exist_ok=True)
    ours.install()
    with ours.run(demo.unfold(OUT / "demo")) as url:
        idle, busy = asyncio.run(_measure(url, arguments.seconds))
    print(f"{'ms':6}{'idle':>10}{'8 streams':>12}{'more':>10}")
    for name, percent in (("p50", 50), ("p90", 90), ("p99", 99)):
        a, b = (statistics.quantiles(each, n=100)[percent - 1] for each in (idle, busy))
        print(f"{name:6}{a:10.2f}{b:12.2f}{b - a:10.2f}")
        keep("event_loop_lag", {f"{name} ms": {"idle": a, "eight_streams": b, "more": b - a}})


if __name__ == "__main__":
    main()
