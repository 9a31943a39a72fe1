"""The service of a real JupyterHub: its users' tokens open it, and say who they are."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from jupyter_mlx_gpt_oss.hub import hub_arguments
from tests.support.jupyter_hub import Hub, free_port, running_hub

_CONFIG = """
from jupyter_mlx_gpt_oss.hub import hub_roles, hub_service

scripted = "--GptOss.engine_class=tests.support.scripted_engine.ScriptedEngine"
c.JupyterHub.services = [
    hub_service(url="http://127.0.0.1:{port}", arguments=["--allow-root", scripted])
]
c.JupyterHub.load_roles = hub_roles()
"""


@dataclass(frozen=True, slots=True)
class Service:
    """The service of a running Hub, behind its proxy."""

    hub: Hub
    client: httpx.Client

    def token(self, user: str, *scopes: str) -> str:
        """Make a token for a user, who is made too."""
        return self.hub.token(user, *scopes)

    def ask(self, token: str, path: str = "v1/models", **fields: Any) -> httpx.Response:
        """Get a path as the owner of a token, or post fields to it."""
        headers = {"Authorization": f"Bearer {token}"}
        if fields:
            return self.client.post(path, json=fields, headers=headers)
        return self.client.get(path, headers=headers)


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with (
        running_hub(tmp_path_factory.mktemp("hub"), _CONFIG.format(port=free_port())) as hub,
        httpx.Client(base_url=f"{hub.url}services/gpt-oss/", timeout=60) as client,
    ):
        hub.wait(lambda: client.get("health").status_code < 500)
        yield Service(hub, client)


def test_a_users_token_opens_the_service(hub: Service) -> None:
    answer = hub.ask(hub.token("ann"), "v1/chat/completions", messages=[{"role": "user", "content": "Hi"}])
    assert answer.status_code == 200, answer.text
    assert answer.json()["choices"][0]["message"]["content"] == "Hello."


def test_the_service_answers_under_the_hubs_own_name(hub: Service) -> None:
    """Proxies pass the client's Host on, and the service listens on loopback."""
    headers = {"Host": "hub.example.org", "Authorization": f"Bearer {hub.token('ada')}"}
    assert hub.client.get("v1/models", headers=headers).status_code == 200


@pytest.mark.parametrize("token", ["", "wrong"])
def test_a_stranger_is_refused(hub: Service, token: str) -> None:
    answer = hub.ask(token) if token else hub.client.get("v1/models")
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")


def test_a_token_without_the_scope_is_refused(hub: Service) -> None:
    assert hub.ask(hub.token("ann", "read:users!user")).status_code == 401
    assert hub.ask(hub.token("ann", "access:services!service=gpt-oss")).status_code == 200


@pytest.mark.parametrize("path", ["api/contents", "api/kernels", "api/terminals", "api/sessions"])
def test_a_user_may_do_nothing_else_with_the_server(hub: Service, path: str) -> None:
    assert hub.ask(hub.token("ann"), path).status_code in {403, 404}
    assert hub.ask(hub.token("ann"), path, name="python3").status_code in {403, 404, 405}


def test_a_user_is_the_same_with_every_token_and_no_other(hub: Service) -> None:
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
