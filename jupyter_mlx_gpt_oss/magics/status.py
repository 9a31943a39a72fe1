"""What `%oss status` says of a server, as rows of a name and a text. Pure: the answers are handed in."""

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from jupyter_mlx_gpt_oss.client.client import Progress
from jupyter_mlx_gpt_oss.client.connection import KEY_VARIABLE, URL_VARIABLE, Connection
from jupyter_mlx_gpt_oss.magics.render_text import DEMO_NOTICE, progress_line

PAGE_ADVICE = "(in a browser elsewhere: JupyterLab's address, with gpt-oss/ in the place of lab)"
GIGABYTE = 1_000_000_000
SHOWN_KEY_CHARS = 4


def status_rows(
    connection: Connection, card: Mapping[str, Any], health: Mapping[str, Any], *, shows_key: bool = False
) -> list[tuple[str, str]]:
    """Return the rows; what a server does not say has none.

    Args:
        connection: where it was found.
        card: the model's card.
        health: the answer of `gpt-oss/health`; empty for a server that is not ours.
        shows_key: show the whole key, because the user asked for it.
    """
    rows = [("Server", f"{connection.base_url} ({connection.source})"), ("Model", _model_text(card))]
    if "state" in health:
        rows.append(("State", _state_text(health)))
    if health.get("error"):
        rows.append(("Error", str(health["error"])))
    if "active_requests" in health:
        running, waiting = health["active_requests"], health.get("queued_requests", 0)
        rows.append(("Requests", f"{running} running, {waiting} waiting"))
    rows += _engine_rows(health)
    if connection.key:
        rows.append(("Key", _key_text(connection.key, shows_key=shows_key)))
    if health:
        rows.append(("Page", f"{connection.base_url.removesuffix('v1')} {PAGE_ADVICE}"))
    rows.append(("Connect", _snippet(connection)))
    return rows


def loading_lines(name: str, healths: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Yield how far the loading of a model is, a line each time.

    Args:
        name: the model.
        healths: what the server's health says meanwhile.
    """
    for health in healths:
        progress = _progress(health)
        if progress is not None:
            yield f"{name}: {progress_line(progress)}"


def _progress(health: Mapping[str, Any]) -> Progress | None:
    found = health.get("progress")
    if health.get("state") != "loading" or not isinstance(found, Mapping) or "stage" not in found:
        return None
    return Progress(str(found["stage"]), found.get("done"), found.get("total"))


def _state_text(health: Mapping[str, Any]) -> str:
    progress = _progress(health)
    return progress_line(progress) if progress else str(health["state"])


def _engine_rows(health: Mapping[str, Any]) -> list[tuple[str, str]]:
    rows = []
    if health.get("tokens_per_second"):
        rows.append(("Speed", f"{health['tokens_per_second']:.1f} tokens/s"))
    if health.get("memory_bytes"):
        cache = health.get("prefix_cache_bytes")
        part = f", {cache / GIGABYTE:.1f} GB of it for earlier prompts" if cache else ""
        rows.append(("Memory", f"{health['memory_bytes'] / GIGABYTE:.1f} GB{part}"))
    if health.get("engine_restarts"):
        rows.append(("Restarts", f"{health['engine_restarts']} of the engine"))
    if isinstance(health.get("uptime_seconds"), int | float):
        rows.append(("Uptime", f"{dt.timedelta(seconds=int(health['uptime_seconds']))}"))
    return rows


def _key_text(key: str, *, shows_key: bool) -> str:
    if shows_key:
        return f"{key}\nClear this output before you share the notebook."
    # A notebook is saved and shared with its outputs: it holds no whole key that nobody asked for.
    return f"{key[:SHOWN_KEY_CHARS]}… (%oss status key shows it whole)"


def _model_text(card: Mapping[str, Any]) -> str:
    parts = [str(card["id"])]
    if card.get("quantization"):
        parts.append(str(card["quantization"]))
    if isinstance(card.get("context_length"), int):
        parts.append(f"{card['context_length']:,} tokens of context")
    if card.get("demo"):
        parts.append(DEMO_NOTICE)
    return ". ".join(parts)


def _snippet(connection: Connection) -> str:
    if URL_VARIABLE not in connection.source:
        return f'openai.OpenAI(base_url="{connection.base_url}", api_key=…)'
    return (
        "import openai, os\n"
        f'client = openai.OpenAI(base_url=os.environ["{URL_VARIABLE}"], api_key=os.environ["{KEY_VARIABLE}"])'
    )
