"""The engine's numbers and the last requests to the words of the status page. Pure; holds no prompt, answer or key."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from jupyter_mlx_gpt_oss.engine.base import ModelInfo
from jupyter_mlx_gpt_oss.engine.request import ProgressStage
from jupyter_mlx_gpt_oss.handlers.recent_requests import RecentRequest

GIGABYTE = 1_000_000_000
MEGABYTE = 1_000_000
MINUTE = 60
HOUR = 60 * MINUTE
DAY = 24 * HOUR
NOTHING = "–"  # noqa: RUF001  a dash, as tables have it

_STATES = {
    "unloaded": "not loaded",
    "loading": "loading",
    "ready": "ready",
    "failed": "failed",
}
_STAGES = {
    ProgressStage.DOWNLOADING: "Downloading the model",
    ProgressStage.LOADING: "Loading the model",
    ProgressStage.WARMING_UP: "Warming up the model",
}


@dataclass(frozen=True, slots=True)
class Figure:
    """One number of the page. `name` is also how its place is styled."""

    name: str
    value: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Share:
    """A part of a bar that is 100 wide."""

    name: str
    start: float
    width: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusView:
    """All that changes on the page."""

    model: str
    state: str
    state_text: str
    details: list[str]
    is_demo: bool
    error: str | None
    progress: tuple[str, float | None] | None
    """What is done, and how much of it, 0 to 1, if that is known."""
    figures: list[Figure]
    memory_shares: list[Share]
    tokens_per_second: float
    is_busy: bool
    requests: list[tuple[str, str, str, str]]
    """When, what, how it ended, how long; the last one first."""


def status_view(
    health: Mapping[str, Any], model: ModelInfo | None, recent: Iterable[RecentRequest], now: float
) -> StatusView:
    """Return what the page says.

    Args:
        health: what `health` answers.
        model: what is known of the model, once it is loaded.
        recent: the last requests, the last one first.
        now: seconds since 1970.
    """
    state = str(health["state"])
    return StatusView(
        model=health["model"],
        state=state,
        state_text=_STATES[state],
        details=_details(model),
        is_demo=health["model"] == "demo",
        error=health["error"],
        progress=_progress(health["progress"]) if state == "loading" else None,
        figures=_figures(health, model),
        memory_shares=_memory_shares(health, model),
        tokens_per_second=health["tokens_per_second"],
        is_busy=state == "loading" or bool(health["active_requests"] or health["queued_requests"]),
        requests=[
            (
                f"{duration(now - each.ended)} ago",
                f"{each.method} {each.route}",
                each.outcome,
                f"{each.seconds:.2f} s",
            )
            for each in recent
        ],
    )


def byte_count(number: int) -> str:
    """Return `12.3 GB`, `812 MB`."""
    return f"{number / GIGABYTE:.1f} GB" if number >= GIGABYTE else f"{number / MEGABYTE:.0f} MB"


def duration(seconds: float) -> str:
    """Return `42 s`, `3 min`, `2 h 5 min`, `4 d 2 h`."""
    whole = max(0, int(seconds))
    if whole < MINUTE:
        return f"{whole} s"
    if whole < HOUR:
        return f"{whole // MINUTE} min"
    if whole < DAY:
        return f"{whole // HOUR} h {whole % HOUR // MINUTE} min"
    return f"{whole // DAY} d {whole % DAY // HOUR} h"


def _details(model: ModelInfo | None) -> list[str]:
    if model is None:
        return []
    known = (model.quantization, f"{model.context_length:,} tokens of context", f"on the {model.device}")
    return [text for text in known if text]


def _progress(progress: Mapping[str, Any] | None) -> tuple[str, float | None]:
    if progress is None:
        return "Starting the engine", None
    text = _STAGES.get(progress["stage"], str(progress["stage"]))
    done, total = progress["done"], progress["total"]
    if not done or not total:
        return text, None
    return f"{text}: {byte_count(done)} of {byte_count(total)}", min(1.0, done / total)


def _figures(health: Mapping[str, Any], model: ModelInfo | None) -> list[Figure]:
    speed = health["tokens_per_second"]
    memory = health["memory_bytes"]
    cache = health["prefix_cache_bytes"]
    return [
        Figure("requests", f"{health['active_requests']}", f"running, {health['queued_requests']} waiting"),
        Figure("speed", f"{speed:.1f}" if speed else NOTHING, "tokens/s"),
        Figure("memory", byte_count(memory) if memory else NOTHING, _weights_note(model)),
        Figure("cache", byte_count(cache) if cache else NOTHING, "kept of earlier prompts"),
        Figure("restarts", f"{health['engine_restarts']}", "of the engine"),
        Figure("uptime", duration(health["uptime_seconds"])),
    ]


def _weights_note(model: ModelInfo | None) -> str:
    return f"weights {byte_count(model.weight_bytes)}" if model and model.weight_bytes else ""


def _memory_shares(health: Mapping[str, Any], model: ModelInfo | None) -> list[Share]:
    total = health["memory_bytes"]
    if not total or model is None:
        return []
    weights = min(model.weight_bytes, total)
    cache = min(health["prefix_cache_bytes"], total - weights)
    shares, start = [], 0.0
    for name, part in (("weights", weights), ("cache", cache), ("other", total - weights - cache)):
        width = round(100 * part / total, 2)
        shares.append(Share(name, round(start, 2), width))
        start += width
    return shares
