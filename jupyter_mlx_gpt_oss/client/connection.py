"""Find the server: where it may be, in the order in which the places are asked.

Knows the environment and Jupyter's runtime files. Sends nothing: `client.py` asks each place in turn.
Source: jupyter_server writes `jpserver-<pid>.json` into the runtime directory; a kernel finds the pid of its
server in JPY_PARENT_PID; kernels of a JupyterHub server find a token for it in JUPYTERHUB_API_TOKEN. A server without a
token (a password, or no access control) opens to the scoped key, which it keeps in Jupyter's data directory.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit, urlunsplit

URL_VARIABLE = "JUPYTER_MLX_GPT_OSS_URL"
KEY_VARIABLE = "JUPYTER_MLX_GPT_OSS_KEY"
_PAGE = re.compile(r"/(?:lab|tree|notebooks|doc|edit)(?:/.*)?$")  # of JupyterLab and of Notebook 7
# Tornado's sockets for IPv6 take no IPv4.
LOOPBACK_OF = {"": "127.0.0.1", "*": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104  compared, not bound


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
    """Yield what a person may have meant by `url`: the base URL of the API, of the server around it, or of one of its pages."""
    parts = urlsplit(url.strip())
    key = key or parse_qs(parts.query).get("token", [""])[0]
    path = parts.path.rstrip("/")
    paths = (path,) if path.endswith("/v1") else dict.fromkeys((_PAGE.sub("", path), path))
    for each in paths:
        url = urlunsplit((parts.scheme, parts.netloc, each, "", "")).rstrip("/")
        if url.endswith("/v1"):
            yield Connection(url, key)
            return
        yield Connection(f"{url}/gpt-oss/v1", key)
        yield Connection(f"{url}/v1", key)


def discovered_connections(
    environ: Mapping[str, str], runtime_directory: Path, kept_key: str = ""
) -> Iterator[Connection]:
    """Yield the places to ask, best first: the environment, this kernel's server, then other servers, the newest first.

    Args:
        environ: the kernel's environment.
        runtime_directory: where Jupyter's servers write down that they run.
        kept_key: the scoped key in this user's files; a server that has another one is opened with its token.
    """
    if url := environ.get(URL_VARIABLE):
        yield Connection(
            url.rstrip("/"), environ.get(KEY_VARIABLE, ""), f"environment variable {URL_VARIABLE}"
        )
    for path in _runtime_files(runtime_directory, environ.get("JPY_PARENT_PID")):
        info = _read_runtime_file(path)
        if _is_gone(info.get("pid")):
            continue  # whoever listens there now may be somebody else
        # The scoped key first: `%oss status key` shows what was used, and a token opens the whole server.
        keys = (kept_key, info.get("token") or environ.get("JUPYTERHUB_API_TOKEN"))
        if isinstance(info.get("url"), str):
            # A server without a token may let anybody read and nobody ask; so it is not tried without a key first.
            for key in [key for key in keys if key] or [""]:
                yield Connection(f"{_reachable_url(info)}/gpt-oss/v1", key, f"runtime file {path.name}")


def read_kept_key(data_directory: Path) -> str:
    """Return the key that servers of this user keep in Jupyter's data directory; empty if there is none."""
    try:
        return (data_directory / "jupyter_mlx_gpt_oss" / "api_key").read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return ""


def _runtime_files(directory: Path, parent_pid: str | None) -> list[Path]:
    # The digit keeps out files such as jpserver-mcp-<pid>.json, which other extensions write.
    files = sorted(directory.glob("jpserver-[0-9]*.json"), key=_modified, reverse=True)
    return sorted(files, key=lambda path: path.stem != f"jpserver-{parent_pid}")


def _modified(path: Path) -> tuple[float, str]:
    try:
        return path.stat().st_mtime, path.name
    except OSError:  # its server has just stopped
        return 0.0, path.name


def _read_runtime_file(path: Path) -> dict[str, Any]:
    """Return what a runtime file says; nothing when it is half written, gone again, or not a server's."""
    try:
        info: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return info if isinstance(info, dict) else {}


def _is_gone(pid: object) -> bool:
    """Say whether a process has ended, or is another user's by now."""
    if not isinstance(pid, int) or pid <= 0:
        return False
    try:
        os.kill(pid, 0)
    except OSError:
        return True
    return False


def _reachable_url(info: Mapping[str, Any]) -> str:
    """Return a server's URL for this machine; one that listens everywhere calls itself by a name that may lead nowhere."""
    host = LOOPBACK_OF.get(str(info.get("hostname")))
    if host is not None and not info.get("sock"):
        scheme = "https" if info.get("secure") else "http"
        return f"{scheme}://{host}:{info.get('port')}{info.get('base_url', '/')}".rstrip("/")
    return str(info["url"]).rstrip("/")
