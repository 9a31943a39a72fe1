"""Print the tokens a second of mlx-lm's own generation, without a server: run by `benchmarks.servers` in mlx-lm's environment.

    python bare_generate.py CHECKPOINT PROMPT_TOKEN_IDS FEWER MORE      the ids as JSON; needs nothing of this project

The rate is that of the tokens between two lengths of the same answer, so that the prompt and the load do not count. No token ends
an answer, so that its length is known.
"""

import json
import sys
import time

from mlx_lm import load, stream_generate


def main() -> None:
    """Do what the command line says."""
    directory, prompt, fewer, more = sys.argv[1], json.loads(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    model, tokenizer, *_ = load(directory)
    tokenizer.eos_token_ids = []

    def seconds(num_tokens: int) -> float:
        start = time.perf_counter()
        for _ in stream_generate(model, tokenizer, prompt, max_tokens=num_tokens):
            pass
        return time.perf_counter() - start

    seconds(fewer)
    short = seconds(fewer)
    print(json.dumps((more - fewer) / (seconds(more) - short)))


if __name__ == "__main__":
    main()
