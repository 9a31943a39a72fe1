"""What came of the simulated hubs to one picture."""

from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot as plt

from benchmarks.hub_events import Outcome

_LEAST_SECONDS = 0.01  # of a logarithmic axis
_LOOPS = {
    "nobody asks from a loop": "no loops",
    "loops, served in turn": "loops, in turn",
    "loops, served by arrival": "loops, by arrival",
}
_COLORS = ("#7f7f7f", "#1f77b4", "#d62728")

Tables = dict[str, dict[str, Outcome]]


def draw(tables: Tables, path: Path) -> None:
    """Draw the outcomes, by engine and scenario.

    Args:
        tables: an outcome for each scenario, for each kind of engine.
        path: of a PNG.
    """
    figure, axes = plt.subplots(2, 2, figsize=(11, 8), layout="constrained")
    _draw_waits_by_number(axes[0][0], tables)
    _draw_waits_beside_loops(axes[0][1], tables)
    _draw_shares(axes[1][0], tables)
    _draw_hits(axes[1][1], tables)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)


def _draw_waits_by_number(axis: Any, tables: Tables) -> None:
    for engine, table in tables.items():
        numbers = [name for name in table if name.endswith(" engines")]
        waits = [max(_LEAST_SECONDS, _quantile(table[name].first_token_seconds, 0.95)) for name in numbers]
        axis.plot([int(name.split()[0]) for name in numbers], waits, "o-", label=engine)
    axis.set(xscale="log", yscale="log", xlabel="engines", ylabel="95th percentile of the first token, s")
    axis.set_xticks([1, 2, 4, 8, 16], ["1", "2", "4", "8", "16"])
    axis.set_title("1,000 users, 100 at work: engines that carry them")
    axis.legend()


def _draw_waits_beside_loops(axis: Any, tables: Tables) -> None:
    """Draw, of one kind of engine, how many questions waited no longer than so many seconds."""
    engine = "m1-pro-20b" if "m1-pro-20b" in tables else next(iter(tables))
    for (label, name), color in zip(_LOOPS.items(), _COLORS, strict=True):
        waits = sorted(max(_LEAST_SECONDS, each) for each in tables[engine][name].first_token_seconds)
        axis.plot(waits, [(index + 1) / len(waits) for index in range(len(waits))], label=label, color=color)
    axis.set(xscale="log", xlabel="first token after, s", ylabel="share of the questions asked by hand")
    axis.set_title(f"beside users with 50 requests each ({engine})")
    axis.legend()


def _draw_shares(axis: Any, tables: Tables) -> None:
    shares = {
        label: [table[name].answers.total() / table["no loops"].answers.total() for table in tables.values()]
        for label, name in list(_LOOPS.items())[1:]
    }
    _draw_bars(axis, list(tables), shares)
    axis.set(ylabel="answers by hand, of those without loops", ylim=(0, 1.2))
    axis.set_title("fair share: what users by hand still get")


def _draw_hits(axis: Any, tables: Tables) -> None:
    rates = {
        label: [table[name].hit_rate for table in tables.values()]
        for label, name in (("conversations stay", "sticky"), ("to the least busy engine", "least busy"))
    }
    _draw_bars(axis, list(tables), rates)
    axis.set(ylabel="prompt tokens found in the cache", ylim=(0, 1.2))
    axis.set_title("routing")


def _draw_bars(axis: Any, places: list[str], groups: dict[str, list[float]]) -> None:
    for shift, ((label, values), color) in enumerate(zip(groups.items(), _COLORS[1:], strict=True)):
        bars = axis.bar(
            [index + 0.38 * shift for index in range(len(values))], values, 0.36, label=label, color=color
        )
        axis.bar_label(bars, fmt="{:.0%}")
    axis.set_xticks([index + 0.19 for index in range(len(places))], places)
    axis.legend()


def _quantile(values: list[float], share: float) -> float:
    return sorted(values)[int(share * (len(values) - 1))] if values else 0.0
