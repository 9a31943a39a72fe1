"""What one engine takes to read a token, and to write one for one, two, four and eight at once.

    python -m benchmarks.service_times [MODEL]

The inputs of benchmarks/hub_simulation.py, measured on this machine.
"""

import argparse
import asyncio
import statistics
import time
from contextlib import aclosing
from itertools import pairwise

from jupyter_mlx_gpt_oss.engine.config import EngineConfig
from jupyter_mlx_gpt_oss.engine.engine_process import EngineProcess
from jupyter_mlx_gpt_oss.engine.request import GenerationRequest, TokenOutput

_PROMPT_TOKENS, _ANSWER_TOKENS = 2000, 64


def _request(name: str, num_prompt_tokens: int, num_tokens: int, first: int) -> GenerationRequest:
    prompt = tuple(1000 + (first * 977 + index * 31) % 5000 for index in range(num_prompt_tokens))
    return GenerationRequest(
        request_id=name, prompt_token_ids=prompt, max_tokens=num_tokens, stop_token_ids=()
    )


async def _token_seconds(engine: EngineProcess, request: GenerationRequest) -> list[float]:
    """Return when each token came, since the request was sent."""
    start, seconds = time.perf_counter(), []
    async with aclosing(engine.generate(request)) as outputs:
        async for output in outputs:
            if isinstance(output, TokenOutput):
                seconds += [time.perf_counter() - start] * len(output.token_ids)
    return seconds


async def _measure(model: str) -> None:
    engine = EngineProcess(EngineConfig(model=model, prompt_lookup_tokens=0))
    try:
        await _token_seconds(engine, _request("warm", 50, 4, 0))
        reads = [await _token_seconds(engine, _request(f"read {n}", _PROMPT_TOKENS, 1, n)) for n in (1, 2, 3)]
        print(f"reads {_PROMPT_TOKENS / statistics.median(each[0] for each in reads):.0f} tokens/s")
        for count in (1, 2, 4, 8):
            requests = [_request(f"{count} {n}", 20, _ANSWER_TOKENS, 10 * count + n) for n in range(count)]
            together = await asyncio.gather(*(_token_seconds(engine, request) for request in requests))
            steps = [late - early for each in together for early, late in pairwise(each[8:])]
            print(f"writes for {count} at once: {1000 * statistics.median(steps):.1f} ms a step")
    finally:
        await engine.stop()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Measure the service times of one engine.")
    parser.add_argument("model", nargs="?", default="demo")
    asyncio.run(_measure(parser.parse_args().model))


if __name__ == "__main__":
    main()
