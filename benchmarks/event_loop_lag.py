"""How much later the notebook server answers others while it streams: its event loop, idle and with eight streams.

    python -m benchmarks.event_loop_lag [--seconds 15]

Asks `gpt-oss/health`, which waits for nothing, twenty times a second; the difference between the two columns is what the
streams cost everybody else on the same event loop.
"""

import argparse
import asyncio
import statistics
import time
from pathlib import Path

import httpx

from benchmarks.servers import PEERS, ask, user
from jupyter_mlx_gpt_oss import demo

_OUT = Path(__file__).parent / "out"
_KEY = "benchmark"
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
    headers = {"Authorization": f"Bearer {_KEY}"}
    async with httpx.AsyncClient(base_url=f"{url}/", headers=headers, timeout=300) as client:
        await ask(client, user("Count to 5."), 8)
        idle = await _latencies(client, seconds)
        is_over = asyncio.Event()

        async def keep_streaming() -> None:
            while not is_over.is_set():
                await ask(client, user("Tell me a story."), 200)

        streams = [asyncio.create_task(keep_streaming()) for _ in range(_NUM_STREAMS)]
        busy = await _latencies(client, seconds)
        is_over.set()
        await asyncio.gather(*streams)
        return idle, busy


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(
        description="The notebook server's event loop, idle and with eight streams."
    )
    parser.add_argument("--seconds", type=float, default=15.0)
    arguments = parser.parse_args()
    ours = PEERS[0]
    ours.install()
    with ours.run(demo.unfold(_OUT / "demo")) as url:
        idle, busy = asyncio.run(_measure(url, arguments.seconds))
    print(f"{'ms':6}{'idle':>10}{'8 streams':>12}{'more':>10}")
    for name, percent in (("p50", 50), ("p90", 90), ("p99", 99)):
        a, b = (statistics.quantiles(each, n=100)[percent - 1] for each in (idle, busy))
        print(f"{name:6}{a:10.2f}{b:12.2f}{b - a:10.2f}")


if __name__ == "__main__":
    main()
