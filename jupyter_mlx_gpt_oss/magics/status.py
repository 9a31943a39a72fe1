"""What `%oss status` says of a server, as rows of a name and a text. Pure: the answers are handed in."""

import datetime as dt
from collections.abc import Mapping
from typing import Any

from jupyter_mlx_gpt_oss.client.connection import KEY_VARIABLE, URL_VARIABLE, Connection
from jupyter_mlx_gpt_oss.magics.render_text import DEMO_NOTICE

GIGABYTE = 1_000_000_000
SHOWN_KEY_CHARS = 4


def status_rows(
    connection: Connection, card: Mapping[str, Any], health: Mapping[str, Any]
) -> list[tuple[str, str]]:
    """Return the rows; what a server does not say has none.

    Args:
        connection: where it was found.
        card: the model's card.
        health: the answer of `gpt-oss/health`; empty for a server that is not ours.
    """
    rows = [("Server", f"{connection.base_url} ({connection.source})"), ("Model", _model_text(card))]
    if "state" in health:
        rows.append(("State", str(health["state"])))
    if health.get("error"):
        rows.append(("Error", str(health["error"])))
    if "active_requests" in health:
        running, waiting = health["active_requests"], health.get("queued_requests", 0)
        rows.append(("Requests", f"{running} running, {waiting} waiting"))
    rows += _engine_rows(health)
    if connection.key:
        # A notebook is saved and shared with its outputs: it never holds a whole key.
        rows.append(("Key", f"{connection.key[:SHOWN_KEY_CHARS]}…"))
    rows.append(("Connect", _snippet(connection)))
    return rows


def _engine_rows(health: Mapping[str, Any]) -> list[tuple[str, str]]:
    rows = []
    if health.get("tokens_per_second"):
        rows.append(("Speed", f"{health['tokens_per_second']:.1f} tokens/s"))
    if health.get("memory_bytes"):
        cache = health.get("prefix_cache_bytes")
        part = f", {cache / GIGABYTE:.1f} GB of it for earlier prompts" if cache else ""
        rows.append(("Memory", f"{health['memory_bytes'] / GIGABYTE:.1f} GB{part}"))
    if isinstance(health.get("uptime_seconds"), int | float):
        rows.append(("Uptime", f"{dt.timedelta(seconds=int(health['uptime_seconds']))}"))
    return rows


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
