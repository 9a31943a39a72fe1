"""Print what one token costs the Harmony parser after 10, 1,000 and 100,000 tokens.

Run: python benchmarks/parser_cost.py
"""

import time

from jupyter_mlx_gpt_oss.harmony import HarmonyParser
from jupyter_mlx_gpt_oss.harmony.encoding import CHANNEL, MESSAGE, encode

_NUM_TOKENS = 1_000
_HEADERS = {
    "reasoning": "analysis",
    "content": "final",
    "arguments": "commentary to=functions.f json",
    "no header": "",
}
_TEXT = encode("The quick brown fox jumps over the lazy dog, and the dog does not mind at all. ")


def _nanoseconds_per_token(header: str, num_before: int) -> float:
    parser = HarmonyParser(["f"])
    opening = (
        [CHANNEL, *encode(header), MESSAGE, *encode('{"text": "' if "to=" in header else "")]
        if header
        else []
    )
    for token_id in opening:
        parser.feed(token_id)
    for index in range(num_before):
        parser.feed(_TEXT[index % len(_TEXT)])
    start = time.perf_counter_ns()
    for index in range(_NUM_TOKENS):
        parser.feed(_TEXT[index % len(_TEXT)])
    return (time.perf_counter_ns() - start) / _NUM_TOKENS


def main() -> None:
    """Print one line for each kind of text."""
    counts = (10, 1_000, 100_000)
    print(f"{'ns per token, after':20}" + "".join(f"{count:>10,}" for count in counts))
    for name, header in _HEADERS.items():
        costs = (min(_nanoseconds_per_token(header, count) for _ in range(5)) for count in counts)
        print(f"{name:20}" + "".join(f"{cost:>10.0f}" for cost in costs))


if __name__ == "__main__":
    main()
