"""A real JupyterHub on loopback, with a proxy, which starts real single-user servers."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.support.jupyter_process import JupyterProcess

SERVICE_TOKEN = "the-token-of-a-service"  # it may start servers, and use them
USER = "ada"
_ROOT = Path(__file__).parents[2]
_START_SECONDS = 240.0
_CONFIG = """
c.JupyterHub.proxy_class = "tests.support.hub_proxy.LoopbackProxy"
c.JupyterHub.bind_url = "http://127.0.0.1:{public_port}/hub-at/"
c.JupyterHub.hub_bind_url = "http://127.0.0.1:{hub_port}"
c.JupyterHub.authenticator_class = "dummy"
c.Authenticator.allow_all = True
c.JupyterHub.spawner_class = "simple"
c.SimpleLocalProcessSpawner.home_dir_template = {homes!r} + "/{{username}}"
c.Spawner.args.append("--allow-root")
c.Spawner.start_timeout = c.Spawner.http_timeout = 200
c.Spawner.env_keep = ["PATH", "PYTHONPATH", "XDG_CACHE_HOME", "LANG"]
c.JupyterHub.db_url = "sqlite://"
c.JupyterHub.services.append({{"name": "starter", "api_token": {token!r}}})
c.JupyterHub.load_roles.append({{
    "name": "starter",
    "scopes": ["admin:users", "admin:servers", "access:servers", "tokens", "access:services"],
    "services": ["starter"],
}})
"""


@dataclass(frozen=True, slots=True)
class Hub:
    """A running Hub."""

    process: "subprocess.Popen[bytes]"
    home: Path
    """With a folder for each user, which is theirs."""
    url: str
    """Of its proxy; ends in a slash."""
    api: httpx.Client = field(repr=False)
    environment: dict[str, str] = field(repr=False)
    started: set[psutil.Process] = field(default_factory=set, repr=False)
    """What the Hub has started, as far as it was seen: a Hub that breaks off leaves it behind."""

    @property
    def log(self) -> str:
        """What the Hub, its service and its users' servers have said so far."""
        return (self.home / "hub.log").read_text(encoding="utf-8", errors="replace")

    def token(self, user: str, *scopes: str) -> str:
        """Make a token for a user, who is made too."""
        self.api.post(f"users/{user}")
        body = {"scopes": scopes} if scopes else {}
        made: str = self.api.post(f"users/{user}/tokens", json=body).raise_for_status().json()["token"]
        return made

    def start_server(self, user: str) -> None:
        """Start a user's server, without waiting for it; the user is made too."""
        self.api.post(f"users/{user}")
        self.api.post(f"users/{user}/server").raise_for_status()

    def wait_for_server(self, user: str) -> None:
        """Wait until a user's server is there."""
        self.wait(lambda: bool(self.api.get(f"users/{user}").json().get("server")))

    def wait(self, is_there: Callable[[], object]) -> None:
        """Wait until something is there.

        Raises:
            AssertionError: the Hub has ended, or it took too long.
        """
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.log
            self.started.update(psutil.Process(self.process.pid).children(recursive=True))
            with contextlib.suppress(httpx.TransportError):
                if is_there():
                    return
            time.sleep(0.5)  # another process's start has no event to wait for
        raise AssertionError(self.log)


@contextmanager
def running_hub(home: Path, config: str = "") -> Iterator[Hub]:
    """Start a Hub, and stop it and its servers at the end.

    Args:
        home: an empty directory.
        config: the first lines of `jupyterhub_config.py`.
    """
    public_port, hub_port = free_port(), free_port()
    file = home / "jupyterhub_config.py"
    usual = _CONFIG.format(public_port=public_port, hub_port=hub_port, homes=str(home), token=SERVICE_TOKEN)
    file.write_text(config + usual)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("JUPYTER", "JPY"))},
        "HOME": str(home),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        "PYTHONPATH": str(_ROOT),
    }
    environment.setdefault("XDG_CACHE_HOME", str(Path.home() / ".cache"))
    with (home / "hub.log").open("wb") as log:
        command = [sys.executable, "-W", "ignore", "-m", "jupyterhub", "-f", str(file)]
        process = subprocess.Popen(command, cwd=home, env=environment, stdout=log, stderr=log)
    headers = {"Authorization": f"token {SERVICE_TOKEN}"}
    api_url = f"http://127.0.0.1:{hub_port}/hub-at/hub/api/"
    with httpx.Client(base_url=api_url, headers=headers, timeout=60) as api:
        hub = Hub(process, home, f"http://127.0.0.1:{public_port}/hub-at/", api, environment)
        try:
            hub.wait(lambda: api.get("").is_success)
            yield hub
        finally:
            process.terminate()
            assert process.wait(60) is not None
            _, alive = psutil.wait_procs(hub.started, timeout=10)
            for each in alive:
                each.kill()


@contextmanager
def jupyter_hub(home: Path, engine: str) -> Iterator[JupyterProcess]:
    """Start a hub and the server of one user, and give that server; stop both at the end.

    Args:
        home: an empty directory.
        engine: the server's option that names its engine.
    """
    runtime = home / USER / "runtime"
    runtime.mkdir(parents=True)
    config = f"""
c.Spawner.args = [{engine!r}]
c.Spawner.environment = {{"JUPYTER_RUNTIME_DIR": {str(runtime)!r}}}
"""
    with running_hub(home, config) as hub:
        hub.start_server(USER)
        hub.wait_for_server(USER)
        hub.wait(lambda: list(runtime.glob("jpserver-[0-9]*.json")))
        [file] = runtime.glob("jpserver-[0-9]*.json")
        info: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        yield JupyterProcess(hub.process, info, home / USER, hub.environment)


def free_port() -> int:
    """Return a port of loopback that nobody has."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port
