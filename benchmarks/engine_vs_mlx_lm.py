"""Measure the engine against mlx-lm's own stream_generate: same checkpoint, same prompts, same machine, one run.

    python -m benchmarks.engine_vs_mlx_lm [--checkpoint DIR]... [--prompt-tokens 100] [--tokens 64] [--rounds 3]

Without --checkpoint it takes the demo, with its full head as mlx-lm has it and with the narrow head that it is served with, and
the proportioned checkpoint (see make_checkpoint). Each side runs in a process of its own, the sides take turns, and medians
are reported. mlx-lm's stream_generate has no batching, so its 4 streams run one after the other. The engine guesses no tokens
here: what that gives is benchmarks.prompt_lookup's.

`GB/s` are the bytes of weights that one stream's tokens read; over the memory bandwidth of the machine it is the share of the
limit that is reached. That counts on a GPU: on a CPU, computing takes longer than reading.
"""

import argparse
import asyncio
import json
import random
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.make_checkpoint import make_checkpoint
from benchmarks.results import OUT, keep
from jupyter_mlx_gpt_oss import demo
from jupyter_mlx_gpt_oss.check.weights import bytes_per_token
from jupyter_mlx_gpt_oss.engine.config import EngineConfig
from jupyter_mlx_gpt_oss.engine.engine_process import EngineProcess
from jupyter_mlx_gpt_oss.engine.request import GenerationRequest, TokenOutput
from jupyter_mlx_gpt_oss.engine.sampling import SamplingParams

_NUM_STREAMS = 4
_WARM_UP = 99  # a prompt that is not measured: the engine would know it
_PROMPT_IDS = range(1_000, 90_000)  # ordinary tokens


@dataclass(frozen=True, slots=True)
class Figures:
    """What one side did in one round."""

    first_token_seconds: float
    tokens_per_second: float
    """Of one stream, the first token left out."""
    four_streams_tokens_per_second: float
    """Of four streams together, from the start to the last token."""
    peak_memory_mb: float
    """Of the process that computes."""


def _prompt(num_tokens: int, stream: int) -> tuple[int, ...]:
    source = random.Random(stream)
    return tuple(source.choice(_PROMPT_IDS) for _ in range(num_tokens))


# -- ours ---------------------------------------------------------------------------------------------------------


async def _ours(model: str, num_prompt_tokens: int, num_tokens: int) -> Figures:
    engine = EngineProcess(EngineConfig(model=model, prompt_lookup_tokens=0))

    async def stream(index: int) -> tuple[float, int, float]:
        """Return seconds to the first token, tokens, and seconds in all."""
        start, first, count = time.perf_counter(), 0.0, 0
        request = GenerationRequest(
            request_id=f"{index}-{start}",
            prompt_token_ids=_prompt(num_prompt_tokens, index),
            max_tokens=num_tokens,
            stop_token_ids=(),
            sampling=SamplingParams(temperature=0.0),
        )
        async for output in engine.generate(request):
            if isinstance(output, TokenOutput):
                first = first or time.perf_counter() - start
                count += len(output.token_ids)
        return first, count, time.perf_counter() - start

    try:
        await engine.load()
        await stream(_WARM_UP)
        first, count, seconds = await stream(0)
        start = time.perf_counter()
        four = await asyncio.gather(*(stream(index) for index in range(1, _NUM_STREAMS + 1)))
        four_seconds = time.perf_counter() - start
    finally:
        await engine.stop()
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)
    return Figures(first, (count - 1) / (seconds - first), sum(c for _, c, _ in four) / four_seconds, peak)


# -- mlx-lm -------------------------------------------------------------------------------------------------------


def _mlx_lm(directory: str, num_prompt_tokens: int, num_tokens: int) -> Figures:
    import mlx.core as mx  # noqa: PLC0415  only in the process of this side
    from mlx_lm import load, stream_generate  # noqa: PLC0415

    model, tokenizer, *_ = load(directory)
    tokenizer.eos_token_ids = []  # no token ends an answer, so that its length is known
    if mx.default_device() == mx.cpu:
        model.set_dtype(mx.float32)  # as the engine computes there; bf16 would be 9 times slower

    def stream(index: int) -> tuple[float, int, float]:
        start, first, count = time.perf_counter(), 0.0, 0
        prompt = list(_prompt(num_prompt_tokens, index))
        for _ in stream_generate(model, tokenizer, prompt, max_tokens=num_tokens):
            first = first or time.perf_counter() - start
            count += 1
        return first, count, time.perf_counter() - start

    stream(_WARM_UP)
    first, count, seconds = stream(0)
    start = time.perf_counter()
    four = [stream(index) for index in range(1, _NUM_STREAMS + 1)]
    four_seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)
    return Figures(first, (count - 1) / (seconds - first), sum(c for _, c, _ in four) / four_seconds, peak)


# -- side by side -------------------------------------------------------------------------------------------------


def _measure(side: str, model: str, arguments: argparse.Namespace) -> Figures:
    """Run one side in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.engine_vs_mlx_lm", "--side", side, "--checkpoint", model]
    command += ["--prompt-tokens", str(arguments.prompt_tokens), "--tokens", str(arguments.tokens)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return Figures(**json.loads(done.stdout.splitlines()[-1]))


def _compare(name: str, ours: str, theirs: str, arguments: argparse.Namespace) -> None:
    rounds: list[tuple[Figures, Figures]] = [
        (_measure("ours", ours, arguments), _measure("mlx-lm", theirs, arguments))
        for _ in range(arguments.rounds)
    ]
    print(
        f"\n{name}: prompt of {arguments.prompt_tokens} tokens, {arguments.tokens} generated, {arguments.rounds} rounds"
    )
    print(f"{'':34}{'ours':>10}{'mlx-lm':>10}{'ratio':>8}")
    result: dict[str, object] = {}
    for field in Figures.__dataclass_fields__:
        mine = statistics.median(getattr(a, field) for a, _ in rounds)
        other = statistics.median(getattr(b, field) for _, b in rounds)
        print(f"{field:34}{mine:10.2f}{other:10.2f}{mine / other:8.2f}")
        result[field] = {"ours": mine, "mlx_lm": other, "ratio": mine / other}
        if field == "tokens_per_second":
            read = [bytes_per_token(Path(theirs)) * rate / 1e9 for rate in (mine, other)]
            print(f"{'  of weights, GB/s':34}{read[0]:10.2f}{read[1]:10.2f}")
            result["gigabytes_per_second"] = {"ours": read[0], "mlx_lm": read[1]}
    keep("engine_vs_mlx_lm", {name: result})


def main() -> None:
    """Measure what the command line names, print a table and keep it as JSON."""
    parser = argparse.ArgumentParser(description="The engine against mlx-lm's stream_generate.")
    parser.add_argument("--checkpoint", action="append", help="a directory; may be repeated")
    parser.add_argument("--prompt-tokens", type=int, default=100)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--side", choices=("ours", "mlx-lm"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        sizes = (arguments.prompt_tokens, arguments.tokens)
        sides: dict[str, Callable[[], Figures]] = {
            "ours": lambda: asyncio.run(_ours(arguments.checkpoint[0], *sizes)),
            "mlx-lm": lambda: _mlx_lm(arguments.checkpoint[0], *sizes),
        }
        print(json.dumps(asdict(sides[arguments.side]())))
        return
    for path in arguments.checkpoint or ():
        _compare(Path(path).name, path, path, arguments)
    if not arguments.checkpoint:
        unfolded = str(demo.cached_checkpoint())
        proportioned = str(make_checkpoint("proportioned", OUT / "proportioned"))
        _compare("demo, full head on both sides", unfolded, unfolded, arguments)
        _compare("demo, as it is served (narrow head)", "demo", unfolded, arguments)
        _compare("proportioned", proportioned, proportioned, arguments)


if __name__ == "__main__":
    main()
