"""Kill the engine process again and again during eight streams, and count how each of them ends.

    python -m benchmarks.kill_worker [--kills 20] [--checkpoint DIR]

Every stream must end whole, with the tokens that an undisturbed engine gives, or with an error: never cut as if finished.
Exits with 1 if one does not.
"""

import argparse
import asyncio
import random
import sys
import time
from collections import Counter
from pathlib import Path

import psutil

from benchmarks.make_checkpoint import make_checkpoint
from jupyter_mlx_gpt_oss.engine.base import EngineState
from jupyter_mlx_gpt_oss.engine.config import EngineConfig
from jupyter_mlx_gpt_oss.engine.engine_process import EngineProcess
from jupyter_mlx_gpt_oss.engine.request import FinishReason, GenerationRequest, TokenOutput
from jupyter_mlx_gpt_oss.engine.sampling import SamplingParams
from jupyter_mlx_gpt_oss.errors import EngineDeadError

_OUT = Path(__file__).parent / "out"
_NUM_STREAMS, _NUM_TOKENS = 8, 400


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


async def _disturbed(engine: EngineProcess, expected: list[tuple[int, ...]], kills: int) -> Counter[str]:
    """Keep eight streams running until the process was killed so often; count the ends."""
    ends: Counter[str] = Counter()
    is_over = asyncio.Event()

    async def keep_asking(index: int) -> None:
        number = 0
        while not is_over.is_set():
            number += 1
            try:
                tokens = await _answer(engine, f"{index}-{number}", index)
            except EngineDeadError:
                ends["error"] += 1
                continue
            ends["whole" if tokens == expected[index] else "WRONG"] += 1

    streams = [asyncio.create_task(keep_asking(index)) for index in range(_NUM_STREAMS)]
    source = random.Random(0)
    for _ in range(kills):
        await engine.load()
        await asyncio.sleep(source.uniform(0.1, 2.0))
        for child in psutil.Process().children():
            child.kill()
            ends["kill"] += 1
        while engine.status().state is EngineState.READY:
            await asyncio.sleep(0.01)  # until the engine knows
    is_over.set()
    await asyncio.wait_for(asyncio.gather(*streams), 300)
    return ends


async def _run(kills: int, checkpoint: Path) -> Counter[str]:
    engine = EngineProcess(EngineConfig(model=str(checkpoint)))
    try:
        expected = [await _answer(engine, f"expected-{index}", index) for index in range(_NUM_STREAMS)]
        return await _disturbed(engine, expected, kills)
    finally:
        await engine.stop()


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description="Kill the engine process during eight streams.")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--checkpoint", type=Path)
    arguments = parser.parse_args()
    checkpoint = arguments.checkpoint or make_checkpoint("tiny", _OUT / "tiny")
    start = time.monotonic()
    ends = asyncio.run(_run(arguments.kills, checkpoint))
    print(dict(ends), f"{time.monotonic() - start:.0f} s")
    sys.exit(1 if ends["WRONG"] else 0)


if __name__ == "__main__":
    main()
