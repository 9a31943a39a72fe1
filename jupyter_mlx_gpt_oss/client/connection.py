"""Find the server: where it may be, in the order in which the places are asked.

Knows the environment and Jupyter's runtime files. Sends nothing: `client.py` asks each place in turn.
Source: jupyter_server writes `jpserver-<pid>.json` into the runtime directory; a kernel finds the pid of its
server in JPY_PARENT_PID; kernels of a JupyterHub server find a token for it in JUPYTERHUB_API_TOKEN.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

URL_VARIABLE = "JUPYTER_MLX_GPT_OSS_URL"
KEY_VARIABLE = "JUPYTER_MLX_GPT_OSS_KEY"


@dataclass(frozen=True, slots=True)
class Connection:
    """One place that may speak OpenAI's API.

    `base_url` is what an OpenAI client takes, without a slash at its end, such as
    `http://127.0.0.1:8888/user/ada/gpt-oss/v1`; with the scheme `http+unix` its host is the quoted path of a
    socket. `source` says in words where it was found.
    """

    base_url: str
    key: str = field(default="", repr=False)
    source: str = "given"


def explicit_connections(url: str, key: str = "") -> Iterator[Connection]:
    """Yield what a person may have meant by `url`: the base URL of the API, or of the server around it."""
    url = url.strip().rstrip("/")
    if url.endswith("/v1"):
        yield Connection(url, key)
        return
    yield Connection(f"{url}/gpt-oss/v1", key)
    yield Connection(f"{url}/v1", key)


def discovered_connections(environ: Mapping[str, str], runtime_directory: Path) -> Iterator[Connection]:
    """Yield the places to ask, best first: the environment, this kernel's server, then other servers."""
    if url := environ.get(URL_VARIABLE):
        yield Connection(
            url.rstrip("/"), environ.get(KEY_VARIABLE, ""), f"environment variable {URL_VARIABLE}"
        )
    for path in _runtime_files(runtime_directory, environ.get("JPY_PARENT_PID")):
        connection = _connection_from_runtime_file(path, environ.get("JUPYTERHUB_API_TOKEN", ""))
        if connection is not None:
            yield connection


def _runtime_files(directory: Path, parent_pid: str | None) -> list[Path]:
    # The digit keeps out files such as jpserver-mcp-<pid>.json, which other extensions write.
    files = sorted(directory.glob("jpserver-[0-9]*.json"), key=lambda path: path.name)
    return sorted(files, key=lambda path: path.stem != f"jpserver-{parent_pid}")


def _connection_from_runtime_file(path: Path, hub_token: str) -> Connection | None:
    """Read a runtime file; None when it is half written, gone again, or not a server's."""
    try:
        info: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(info, dict) or not isinstance(info.get("url"), str):
        return None
    url = info["url"].rstrip("/")
    return Connection(f"{url}/gpt-oss/v1", info.get("token") or hub_token, f"runtime file {path.name}")
