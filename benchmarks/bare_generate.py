"""Print the tokens a second of mlx-lm's own generation, without a server: run by `benchmarks.servers` in mlx-lm's environment.

    python bare_generate.py CHECKPOINT PROMPT_TOKEN_IDS FEWER MORE      the ids as JSON; needs nothing of this project

The rate is that of the tokens between two lengths of the same answer, so that the prompt and the load do not count.
"""

import json
import sys
import time
from pathlib import Path

import mlx.core as mx
from mlx_lm.generate import generate_step
from mlx_lm.utils import load_model


def main() -> None:
    """Do what the command line says."""
    directory, prompt, fewer, more = (
        Path(sys.argv[1]),
        mx.array(json.loads(sys.argv[2])),
        int(sys.argv[3]),
        int(sys.argv[4]),
    )
    model, _ = load_model(directory)

    def seconds(num_tokens: int) -> float:
        start = time.perf_counter()
        for _ in generate_step(prompt, model, max_tokens=num_tokens):
            pass
        return time.perf_counter() - start

    seconds(fewer)
    short = seconds(fewer)
    print(json.dumps((more - fewer) / (seconds(more) - short)))


if __name__ == "__main__":
    main()
