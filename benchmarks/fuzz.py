"""Fuzz every reader of foreign text for so many minutes, and print what was run and what was found.

    python -m benchmarks.fuzz [--minutes 60] [--only parser,frames] [--atheris]

Inputs are drawn by hypothesis, which shrinks what it finds; with --atheris they are chosen by libFuzzer, which follows the branches
that they reach (`pip install atheris`; one target a run). The short form is tests/fuzz. Exits with 1 if anything was found.
"""

import argparse
import sys
import time
import traceback

from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.support.fuzz_targets import TARGETS, Target

_ROUND_EXAMPLES = 500


def _fuzz(name: str, target: Target, seconds: float) -> bool:
    """Feed a target for so long; return whether nothing was found."""
    num_examples = 0

    def check(case: object) -> None:
        nonlocal num_examples
        num_examples += 1
        target.check(case)

    start = time.monotonic()
    number = 0
    while time.monotonic() - start < seconds:
        number += 1
        options = settings(
            max_examples=_ROUND_EXAMPLES,
            deadline=None,
            database=None,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
        )
        try:
            seed(time.time_ns())(options(given(target.inputs)(check)))()
        except Exception:  # noqa: BLE001  whatever it is, it is what was looked for
            traceback.print_exc()
            print(f"{name:20} FOUND after {num_examples:,} inputs", flush=True)
            return False
    print(
        f"{name:20} {num_examples:10,} inputs in {time.monotonic() - start:6.0f} s, nothing found", flush=True
    )
    return True


def _fuzz_with_atheris(target: Target, seconds: float) -> None:
    import atheris  # type: ignore[import-not-found]  # noqa: PLC0415  needed here alone

    options = settings(deadline=None, database=None, suppress_health_check=list(HealthCheck))
    fuzz_one_input = options(given(target.inputs)(target.check)).hypothesis.fuzz_one_input  # type: ignore[attr-defined]
    atheris.instrument_all()
    atheris.Setup([sys.argv[0], f"-max_total_time={seconds:.0f}", "-max_len=4096"], fuzz_one_input)
    atheris.Fuzz()


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description="Fuzz every reader of foreign text.")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--only", default=",".join(TARGETS))
    parser.add_argument("--atheris", action="store_true")
    arguments = parser.parse_args()
    names = arguments.only.split(",")
    seconds = 60 * arguments.minutes / len(names)
    if arguments.atheris:
        _fuzz_with_atheris(TARGETS[names[0]], seconds)
        return
    is_clean = [_fuzz(name, TARGETS[name], seconds) for name in names]
    sys.exit(0 if all(is_clean) else 1)


if __name__ == "__main__":
    main()
