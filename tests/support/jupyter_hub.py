"""A real JupyterHub on loopback, which starts real single-user servers. It has no proxy: they are asked directly."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from jupyterhub.proxy import Proxy  # type: ignore[import-untyped]

from tests.support.jupyter_process import JupyterProcess

SERVICE_TOKEN = "the-token-of-a-service"  # it may start servers, and use them
USER = "ada"
_ROOT = Path(__file__).parents[2]
_START_SECONDS = 240.0
_CONFIG = """
c.JupyterHub.proxy_class = "tests.support.jupyter_hub.NoProxy"
c.JupyterHub.bind_url = "http://127.0.0.1:{public_port}/hub-at/"
c.JupyterHub.hub_bind_url = "http://127.0.0.1:{hub_port}"
c.JupyterHub.authenticator_class = "dummy"
c.Authenticator.allow_all = True
c.JupyterHub.spawner_class = "simple"
c.SimpleLocalProcessSpawner.home_dir_template = {homes!r} + "/{{username}}"
c.Spawner.args = ["--allow-root", {engine!r}]
c.Spawner.env_keep = ["PATH", "PYTHONPATH", "XDG_CACHE_HOME", "LANG"]
c.Spawner.environment = {{"JUPYTER_RUNTIME_DIR": {homes!r} + "/ada/runtime"}}
c.JupyterHub.db_url = "sqlite://"
c.JupyterHub.services = [{{"name": "starter", "api_token": {token!r}}}]
c.JupyterHub.load_roles = [
    {{"name": "starter", "scopes": ["admin:users", "admin:servers", "access:servers"], "services": ["starter"]}}
]
"""


class NoProxy(Proxy):  # type: ignore[misc]  # JupyterHub has no types
    """Keeps routes and serves none: JupyterHub's own proxy is a Node program."""

    should_start = False

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._routes: dict[str, dict[str, Any]] = {}

    async def add_route(self, routespec: str, target: str, data: dict[str, Any]) -> None:
        self._routes[routespec] = {"routespec": routespec, "target": target, "data": data}

    async def delete_route(self, routespec: str) -> None:
        self._routes.pop(routespec, None)

    async def get_all_routes(self) -> dict[str, dict[str, Any]]:
        return self._routes


@contextmanager
def jupyter_hub(home: Path, engine: str) -> Iterator[JupyterProcess]:
    """Start a hub and the server of one user, and give that server; stop both at the end.

    Args:
        home: an empty directory.
        engine: the server's option that names its engine.
    """
    public_port, hub_port = _free_port(), _free_port()
    (home / USER / "runtime").mkdir(parents=True)
    config = home / "jupyterhub_config.py"
    config.write_text(
        _CONFIG.format(
            public_port=public_port, hub_port=hub_port, homes=str(home), engine=engine, token=SERVICE_TOKEN
        )
    )
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("JUPYTER", "JPY"))},
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        "PYTHONPATH": str(_ROOT),
    }
    environment.setdefault("XDG_CACHE_HOME", str(Path.home() / ".cache"))
    with (home / "hub.log").open("wb") as log:
        command = [sys.executable, "-m", "jupyterhub", "-f", str(config)]
        process = subprocess.Popen(command, cwd=home, env=environment, stdout=log, stderr=log)
    try:
        info = _start_server(process, home, f"http://127.0.0.1:{hub_port}/hub-at/hub/api")
        yield JupyterProcess(process, info, home / USER, environment)
    finally:
        process.terminate()
        assert process.wait(30) is not None


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def _start_server(process: "subprocess.Popen[bytes]", home: Path, api: str) -> dict[str, Any]:
    headers = {"Authorization": f"token {SERVICE_TOKEN}"}
    deadline = time.monotonic() + _START_SECONDS
    is_asked = False
    while time.monotonic() < deadline:
        assert process.poll() is None, (home / "hub.log").read_text()
        try:
            if not is_asked:
                httpx.post(f"{api}/users/{USER}", headers=headers)
                is_asked = httpx.post(f"{api}/users/{USER}/server", headers=headers).is_success
            user = httpx.get(f"{api}/users/{USER}", headers=headers).json()
        except httpx.HTTPError:
            user = {}
        files = list((home / USER / "runtime").glob("jpserver-[0-9]*.json"))
        if user.get("server") and files:
            info: dict[str, Any] = json.loads(files[0].read_text(encoding="utf-8"))
            return info
        time.sleep(0.2)  # another process's start has no event to wait for
    raise AssertionError((home / "hub.log").read_text())
