"""A hub of 1,000 users before engines of measured speed: waiting, fairness, and what conversations that stay put save.

    python -m benchmarks.hub_simulation [--engine m1-pro-20b]... [--plot docs/images/hub-simulation.png]

A tenth of the users work with the model. For each kind of engine: how many engines carry them; what users who ask by hand
get beside two or more who ask from a loop, by arrival and in turn; what is found in the prefix caches where conversations
stay with one engine, and where each question goes to the least busy one.
"""

import argparse
import json
import statistics
from collections import Counter
from pathlib import Path

from benchmarks.hub_engine import Speed
from benchmarks.hub_events import ANSWER_TOKENS, LOOP_REQUESTS, READING_SECONDS, Outcome, Scenario, Simulation
from benchmarks.hub_plot import draw

SPEEDS = {
    # This package and the embedded model on two cores: benchmarks/service_times.py.
    "2-cores-demo": Speed(
        prefill_tokens_per_second=1450.0,
        first_sequence_seconds=0.027,
        next_sequence_seconds=0.024,
        max_running=8,
        cache_tokens=200_000,
    ),
    # mlx-lm issue 858: 270 prompt tokens/s, 33 tokens/s with one sequence. What a further one adds is assumed.
    "m1-pro-20b": Speed(
        prefill_tokens_per_second=270.0,
        first_sequence_seconds=1 / 33,
        next_sequence_seconds=0.010,
        max_running=8,
        cache_tokens=200_000,
    ),
    # GPUStack's performance lab, vLLM 0.10.2 on two cards: 34,491 tokens/s of long prompts; 16,042 tokens/s in and out at
    # 87 ms a step. One sequence's step is assumed.
    "2xh100-120b": Speed(
        prefill_tokens_per_second=34_000.0,
        first_sequence_seconds=0.006,
        next_sequence_seconds=0.00012,
        max_running=256,
        cache_tokens=2_000_000,
        is_salted=True,
    ),
}
NUMBERS = (1, 2, 4, 8, 16)
NUM_HANDS = 100
_SPARE = 1.3  # an engine that is used to the last token has an endless queue
_OVERLOAD = 2  # so many requests of loops for each place

Table = dict[str, Outcome]


def num_engines_for(speed: Speed) -> int:
    """Return the least of NUMBERS that carries the users, at least two."""
    needed = _SPARE * NUM_HANDS * ANSWER_TOKENS / READING_SECONDS / speed.tokens_per_second
    return next((number for number in NUMBERS[1:] if number >= needed), NUMBERS[-1])


def scenarios(speed: Speed) -> dict[str, Scenario]:
    """Return what is compared, by name."""
    number = num_engines_for(speed)
    num_loops = max(2, _OVERLOAD * number * speed.max_running // LOOP_REQUESTS)

    def scenario(
        num_engines: int = number, *, is_sticky: bool = True, is_fair: bool = True, loops: int = 0
    ) -> Scenario:
        return Scenario(
            speed=speed,
            num_engines=num_engines,
            is_sticky=is_sticky,
            is_fair=is_fair,
            num_hands=NUM_HANDS,
            num_loops=loops,
        )

    return {
        **{f"{each} engines": scenario(each) for each in NUMBERS},
        "no loops": scenario(),
        "loops, by arrival": scenario(is_fair=False, loops=num_loops),
        "loops, in turn": scenario(loops=num_loops),
        "sticky": scenario(),
        "least busy": scenario(is_sticky=False),
    }


def row(outcome: Outcome, undisturbed: Outcome) -> dict[str, float]:
    """Return the numbers of a table.

    Args:
        outcome: of a scenario.
        undisturbed: of the same users where nobody asks from a loop.
    """
    waits = sorted(outcome.first_token_seconds) or [0.0]
    shares = [outcome.answers[user] / count for user, count in undisturbed.answers.items()]
    return {
        "answers": outcome.answers.total(),
        "median_s": statistics.median(waits),
        "p95_s": waits[int(0.95 * (len(waits) - 1))],
        "longest_s": waits[-1],
        "share_of_undisturbed": outcome.answers.total() / undisturbed.answers.total(),
        "share_of_worst_tenth": statistics.quantiles(shares, n=10)[0],
        "evenness_of_loops": evenness(outcome.loop_answers),
        "loop_answers": outcome.loop_answers.total(),
        "hit_rate": outcome.hit_rate,
    }


def evenness(answers: Counter[int]) -> float:
    """Return Jain's index: 1 where all have the same, 1 / n where one has all; 1 for nobody."""
    squares = sum(count * count for count in answers.values())
    return answers.total() ** 2 / (len(answers) * squares) if squares else 1.0


def _print_table(name: str, table: Table) -> None:
    number = num_engines_for(SPEEDS[name])
    print(f"\n{name}, {number} engines where nothing else is said")
    print(f"{'':18} by hand  median s    95 % s  longest s  of undisturbed  loops  even  cached")
    for scenario, outcome in table.items():
        told = row(outcome, table["no loops"])
        print(
            f"{scenario:18} {told['answers']:7.0f} {told['median_s']:9.2f} {told['p95_s']:9.2f} "
            f"{told['longest_s']:10.1f} {told['share_of_undisturbed']:15.0%} {told['loop_answers']:6.0f} "
            f"{told['evenness_of_loops']:5.2f} {told['hit_rate']:7.0%}"
        )


def main() -> None:
    """Simulate, print and draw."""
    parser = argparse.ArgumentParser(description="Simulate a hub of 1,000 users.")
    parser.add_argument("--engine", choices=sorted(SPEEDS), action="append", help="all, where none is named")
    parser.add_argument("--plot", type=Path, help="write the picture here")
    parser.add_argument("--json", type=Path, help="write the numbers here")
    arguments = parser.parse_args()
    tables: dict[str, Table] = {}
    for name in arguments.engine or list(SPEEDS):
        runs = scenarios(SPEEDS[name])
        tables[name] = {each: Simulation(scenario).run() for each, scenario in runs.items()}
        _print_table(name, tables[name])
    if arguments.json:
        rows = {
            name: {each: row(outcome, table["no loops"]) for each, outcome in table.items()}
            for name, table in tables.items()
        }
        arguments.json.write_text(json.dumps(rows, indent=1))
    if arguments.plot:
        draw(tables, arguments.plot)


if __name__ == "__main__":
    main()
