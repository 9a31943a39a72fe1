"""The service of a real JupyterHub: its users' tokens open it, and say who they are."""

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from jupyter_mlx_gpt_oss.hub import hub_arguments

_START_SECONDS = 120.0
_ADMIN_TOKEN = "token-of-the-test"
_CONFIG = """
from jupyterhub.proxy import Proxy
from jupyter_mlx_gpt_oss.hub import hub_roles, hub_service

class NoProxy(Proxy):  # the test asks the service where it listens
    should_start = False
    async def add_route(self, routespec, target, data): pass
    async def delete_route(self, routespec): pass
    async def get_all_routes(self): return {{}}

scripted = "--GptOss.engine_class=tests.support.scripted_engine.ScriptedEngine"
c.JupyterHub.proxy_class = NoProxy
c.JupyterHub.hub_port = {hub_port}
c.JupyterHub.authenticator_class = "dummy"
c.Authenticator.allow_all = True
c.JupyterHub.services = [
    hub_service(url="http://127.0.0.1:{service_port}", arguments=["--allow-root", scripted]),
    {{"name": "tester", "api_token": "{token}"}},
]
c.JupyterHub.load_roles = [
    *hub_roles(),
    {{"name": "tester", "services": ["tester"], "scopes": ["admin:users", "tokens", "access:services"]}},
]
"""


@dataclass(frozen=True, slots=True)
class Hub:
    """A running Hub with the service."""

    api: httpx.Client
    service: httpx.Client

    def token(self, user: str, *scopes: str) -> str:
        """Make a token for a user, who is made too."""
        self.api.post(f"users/{user}")
        body = {"scopes": scopes} if scopes else {}
        made: str = self.api.post(f"users/{user}/tokens", json=body).raise_for_status().json()["token"]
        return made

    def ask(self, token: str, path: str = "v1/models", **fields: Any) -> httpx.Response:
        """Get a path as the owner of a token, or post fields to it."""
        headers = {"Authorization": f"Bearer {token}"}
        if fields:
            return self.service.post(path, json=fields, headers=headers)
        return self.service.get(path, headers=headers)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    home = tmp_path_factory.mktemp("hub")
    hub_port, service_port = _free_port(), _free_port()
    config = home / "jupyterhub_config.py"
    config.write_text(_CONFIG.format(hub_port=hub_port, service_port=service_port, token=_ADMIN_TOKEN))
    folders = {name: str(home) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")}
    environment = {**os.environ, **folders, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-W", "ignore", "-m", "jupyterhub", "-f", str(config)]
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=home, env=environment, stdout=log, stderr=log)
    try:
        with (
            httpx.Client(
                base_url=f"http://127.0.0.1:{hub_port}/hub/api/",
                headers={"Authorization": f"token {_ADMIN_TOKEN}"},
                timeout=30,
            ) as api,
            httpx.Client(
                base_url=f"http://127.0.0.1:{service_port}/services/gpt-oss/", timeout=30
            ) as service,
        ):
            _wait(process, home / "log", api, "")
            _wait(process, home / "log", service, "health")
            yield Hub(api, service)
    finally:
        process.terminate()
        process.wait(60)


def _wait(process: "subprocess.Popen[bytes]", log: Path, client: httpx.Client, path: str) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text(errors="replace")
        with contextlib.suppress(httpx.TransportError):
            if client.get(path).status_code < 500:
                return
        time.sleep(0.2)  # another process's start has no event to wait for
    raise AssertionError(log.read_text(errors="replace"))


def test_a_users_token_opens_the_service(hub: Hub) -> None:
    answer = hub.ask(hub.token("ann"), "v1/chat/completions", messages=[{"role": "user", "content": "Hi"}])
    assert answer.status_code == 200, answer.text
    assert answer.json()["choices"][0]["message"]["content"] == "Hello."


@pytest.mark.parametrize("token", ["", "wrong"])
def test_a_stranger_is_refused(hub: Hub, token: str) -> None:
    answer = hub.ask(token) if token else hub.service.get("v1/models")
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")


def test_a_token_without_the_scope_is_refused(hub: Hub) -> None:
    assert hub.ask(hub.token("ann", "read:users!user")).status_code == 401
    assert hub.ask(hub.token("ann", "access:services!service=gpt-oss")).status_code == 200


@pytest.mark.parametrize("path", ["api/contents", "api/kernels", "api/terminals", "api/sessions"])
def test_a_user_may_do_nothing_else_with_the_server(hub: Hub, path: str) -> None:
    assert hub.ask(hub.token("ann"), path).status_code in {403, 404}
    assert hub.ask(hub.token("ann"), path, name="python3").status_code in {403, 404, 405}


def test_a_user_is_the_same_with_every_token_and_no_other(hub: Hub) -> None:
    made = hub.ask(hub.token("ann"), "v1/responses", input="Hi").json()
    kept = f"v1/responses/{made['id']}"
    assert hub.ask(hub.token("ann"), kept).status_code == 200
    assert hub.ask(hub.token("bob"), kept).status_code == 404


def test_the_service_stands_where_the_hub_expects_it() -> None:
    environment = {
        "JUPYTERHUB_SERVICE_URL": "http://127.0.0.1:8899",
        "JUPYTERHUB_SERVICE_PREFIX": "/services/gpt-oss/",
    }
    assert {"--ServerApp.base_url=/services/gpt-oss/", "--ServerApp.port=8899"} < set(
        hub_arguments(environment)
    )
