"""What is asked of a Hub, and how long its word holds."""

from collections.abc import Iterator
from typing import Any

import pytest
from tornado import web
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from typing_extensions import override

from tests.support.http_client import HttpClient, Reply

MODEL = {"kind": "user", "name": "ann", "scopes": ["access:services!service=gpt-oss"]}


class HubApi(web.RequestHandler):
    asked: list[str]
    answer: dict[str, Any]

    @override
    def initialize(self, asked: list[str], answer: dict[str, Any]) -> None:
        self.asked, self.answer = asked, answer

    @override
    def get(self) -> None:
        self.asked.append(self.request.headers["Authorization"])
        if not self.answer["status"]:
            self.detach().close()
            return
        self.set_status(self.answer["status"])
        self.finish({**MODEL, **{name: value for name, value in self.answer.items() if name != "status"}})


@pytest.fixture
def asked() -> list[str]:
    return []


@pytest.fixture
def answer() -> dict[str, Any]:
    return {"status": 200}


@pytest.fixture
def hub_url(asked: list[str], answer: dict[str, Any], jp_asyncio_loop: Any) -> Iterator[str]:
    server = HTTPServer(web.Application([(r"/hub/api/user", HubApi, {"asked": asked, "answer": answer})]))
    sockets = bind_sockets(0, "127.0.0.1")

    async def start() -> None:
        server.add_sockets(sockets)

    jp_asyncio_loop.run_until_complete(start())
    yield f"http://127.0.0.1:{sockets[0].getsockname()[1]}/hub/api/"
    server.stop()
    jp_asyncio_loop.run_until_complete(server.close_all_connections())


@pytest.fixture
def gpt_oss_config(hub_url: str) -> dict[str, Any]:
    room = "jupyter_mlx_gpt_oss.handlers.hub_identity"
    return {
        "ServerApp": {
            "identity_provider_class": f"{room}.HubIdentityProvider",
            "authorizer_class": f"{room}.GptOssAuthorizer",
        },
        "HubIdentityProvider": {"hub_api_url": hub_url, "service_name": "gpt-oss"},
    }


async def get(http: HttpClient, token: str = "ann-1") -> Reply:
    return await http.get("gpt-oss/health", headers={"Authorization": f"Bearer {token}"})


async def test_the_hubs_word_is_kept(http: HttpClient, asked: list[str]) -> None:
    assert [(await get(http)).status for _ in range(3)] == [200] * 3
    assert (await get(http, "ann-2")).status == 200
    assert asked == ["token ann-1", "token ann-2"]


async def test_no_cookie_outlives_a_token(http: HttpClient) -> None:
    assert "Set-Cookie" not in (await get(http)).response.headers


async def test_a_token_that_the_hub_does_not_know_is_refused(
    http: HttpClient, answer: dict[str, Any]
) -> None:
    answer["status"] = 403
    assert (await get(http)).error["code"] == "invalid_api_key"


async def test_a_token_for_another_service_is_refused(http: HttpClient, answer: dict[str, Any]) -> None:
    answer["scopes"] = ["access:services!service=other"]
    assert (await get(http)).status == 401


async def test_a_hub_that_fails_is_told_apart_from_a_wrong_token(
    http: HttpClient, answer: dict[str, Any]
) -> None:
    answer["status"] = 500
    reply = await get(http)
    assert (reply.status, reply.error["code"]) == (503, "identity_unavailable")
    answer["status"] = 200
    assert (await get(http)).status == 200


async def test_a_hub_that_ends_the_connection_is_told_apart_too(
    http: HttpClient, answer: dict[str, Any]
) -> None:
    answer["status"] = 0
    reply = await get(http)
    assert (reply.status, reply.error["code"]) == (503, "identity_unavailable")


class TestNoHub:
    @pytest.fixture
    def hub_url(self) -> str:
        return "http://127.0.0.1:1/hub/api"

    async def test_a_hub_that_is_gone_is_told(self, http: HttpClient) -> None:
        assert (await get(http)).error["code"] == "identity_unavailable"
