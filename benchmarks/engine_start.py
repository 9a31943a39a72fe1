"""What an engine process costs until its model is ready: seconds, processor seconds and memory, lean and with all of mlx-lm.

    python -m benchmarks.engine_start [--model demo] [--rounds 5]

The sides take turns, each start is a new process, and medians are shown. The other side imports mlx-lm before the engine
does, whose tokenizers bring transformers (`worker/lean_mlx_lm.py`).
"""

import argparse
import json
import statistics
import subprocess
import sys
from dataclasses import dataclass, fields

from benchmarks.results import keep

START = """
import json, resource, socket, sys, time
started = time.perf_counter()
from jupyter_mlx_gpt_oss.engine.config import EngineConfig
from jupyter_mlx_gpt_oss.engine.frames import Start, encode
from jupyter_mlx_gpt_oss.worker.__main__ import main

ours, its = socket.socketpair()
ours.sendall(encode(Start(EngineConfig(model=sys.argv[1]))))
ours.shutdown(socket.SHUT_WR)  # it ends when its model is ready
main(str(its.detach()))
said = b"".join(iter(lambda: ours.recv(1 << 16), b"")).splitlines()[-1]
if json.loads(said)["type"] != "loaded":
    raise SystemExit(said.decode())
used = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps([time.perf_counter() - started, used.ru_utime + used.ru_stime, used.ru_maxrss / 1000]))
"""
WHOLE = START.replace("started = time.perf_counter()\n", "started = time.perf_counter()\nimport mlx_lm\n")
SIDES = {"lean": START, "whole": WHOLE}


@dataclass(frozen=True, slots=True)
class Cost:
    """Of a start, from the process's first line to a model that is ready."""

    seconds: float
    processor_seconds: float
    megabytes: float


def start(side: str, model: str) -> Cost:
    """Start an engine in a process of its own, and return what that cost."""
    done = subprocess.run(
        [sys.executable, "-c", SIDES[side], model], check=True, capture_output=True, text=True
    )
    return Cost(*json.loads(done.stdout))


def main() -> None:
    """Measure, print and keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="demo")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    rounds = [{side: start(side, options.model) for side in SIDES} for _ in range(options.rounds + 1)][1:]
    print("| | lean | with all of mlx-lm | ratio |\n|---|---|---|---|")
    found = {}
    for field in fields(Cost):
        lean, whole = (
            statistics.median(getattr(each[side], field.name) for each in rounds) for side in SIDES
        )
        found[field.name] = {"lean": lean, "whole": whole, "ratio": whole / lean}
        print(f"| {field.name.replace('_', ' ')} | {lean:.2f} | {whole:.2f} | {whole / lean:.2f} |")
    keep("engine_start", {options.model: found})


if __name__ == "__main__":
    main()
