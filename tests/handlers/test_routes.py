"""Every route, and what happens beside them."""

import asyncio
from typing import Any

import pytest
from jupyter_server.serverapp import ServerApp

from jupyter_mlx_gpt_oss.app import GptOss
from jupyter_mlx_gpt_oss.handlers.open_requests import OpenRequests
from jupyter_mlx_gpt_oss.handlers.routes import routes
from tests.support.http_client import HttpClient
from tests.support.scripted_engine import ScriptedEngine

CHAT = "gpt-oss/v1/chat/completions"


@pytest.mark.parametrize("slash", ["", "/"])
async def test_every_route_takes_a_trailing_slash(http: HttpClient, slash: str) -> None:
    for path in ("health", "v1/models", "v1/models/demo"):
        assert (await http.get(f"gpt-oss/{path}{slash}")).status == 200
    body = {"messages": [{"role": "user", "content": "Hi"}]}
    assert (await http.post(f"{CHAT}{slash}", body)).status == 200


async def test_health_says_how_the_engine_is(http: HttpClient, engine: ScriptedEngine) -> None:
    health = (await http.get("gpt-oss/health")).json
    assert (health["status"], health["state"], health["model"]) == ("ok", "unloaded", "demo")
    await engine.load()
    assert (await http.get("gpt-oss/health")).json["state"] == "ready"


async def test_health_does_not_keep_an_idle_server_alive(http: HttpClient, jp_serverapp: ServerApp) -> None:
    settings = jp_serverapp.web_app.settings
    before = settings.get("api_last_activity")
    await http.get("gpt-oss/health")
    assert settings.get("api_last_activity") == before
    await http.get("gpt-oss/v1/models")
    assert settings["api_last_activity"] != before


async def test_the_model_is_listed_before_and_after_it_is_loaded(
    http: HttpClient, engine: ScriptedEngine
) -> None:
    listed = (await http.get("gpt-oss/v1/models")).json
    assert listed["object"] == "list"
    (card,) = listed["data"]
    assert (card["id"], card["object"], card["demo"], card["context_length"]) == ("demo", "model", True, None)
    await engine.load("mlx-community/gpt-oss-20b")
    card = (await http.get("gpt-oss/v1/models/mlx-community/gpt-oss-20b")).json
    assert (card["demo"], card["context_length"]) == (False, 4096)


async def test_another_model_is_not_found(http: HttpClient) -> None:
    reply = await http.get("gpt-oss/v1/models/gpt-4")
    assert (reply.status, reply.error["code"]) == (404, "model_not_found")


@pytest.mark.parametrize("path", ["gpt-oss/nothing", "gpt-oss/v1/nothing", "gpt-oss/v1", "gpt-oss/v1/chat"])
async def test_anything_else_is_not_found_in_openais_shape(http: HttpClient, path: str) -> None:
    for method in ("GET", "POST", "DELETE"):
        reply = await http.send(method, path, body=b"{}" if method == "POST" else None)
        assert (reply.status, reply.error["code"]) == (404, "not_found")


async def test_a_wrong_method_is_told_the_right_ones(http: HttpClient) -> None:
    reply = await http.get(CHAT)
    assert (reply.status, reply.error["code"]) == (405, "method_not_allowed")
    assert reply.response.headers["Allow"] == "POST"


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        (b"{", None, "invalid_request_error"),
        ({}, "messages", "invalid_request_error"),
        ({"messages": [{"role": "user"}]}, "messages[0].content", "invalid_request_error"),
        ({"messages": [{"role": "x", "content": "Hi"}]}, "messages[0].role", "invalid_request_error"),
        ({"messages": [{"role": "user", "content": "Hi"}], "top_p": 7}, "top_p", "invalid_request_error"),
        ({"messages": [{"role": "user", "content": "Hi"}], "n": 9}, "n", "invalid_request_error"),
    ],
)
async def test_a_bad_body_is_400_and_names_the_field(
    http: HttpClient, body: object, param: str | None, code: str
) -> None:
    reply = await http.post(CHAT, body)
    assert reply.status == 400
    assert (reply.error["param"], reply.error["code"]) == (param, code)
    assert reply.error["type"] == "invalid_request_error"


async def test_half_an_emoji_from_a_client_that_cuts_text_is_taken(http: HttpClient) -> None:
    body = b'{"messages": [{"role": "user", "content": "\\ud83d"}]}'
    assert (await http.post(CHAT, body)).status == 200


class TestLimits:
    @pytest.fixture
    def gpt_oss_config(self) -> dict[str, Any]:
        return {"GptOssServing": {"max_body_bytes": 2000}, "GptOssEngine": {"context_length": 100}}

    async def test_a_large_body_is_413(self, http: HttpClient) -> None:
        reply = await http.chat("x" * 2000)
        assert (reply.status, reply.error["code"]) == (413, "request_too_large")

    async def test_a_long_prompt_is_told_both_numbers(self, http: HttpClient) -> None:
        reply = await http.chat("word " * 300)
        assert (reply.status, reply.error["code"]) == (400, "context_length_exceeded")
        assert "100 tokens" in reply.error["message"]


async def test_stopping_with_nothing_open_returns_at_once() -> None:
    await OpenRequests().stop(60)


async def test_stopping_does_not_wait_for_a_client_that_does_not_read() -> None:
    open_requests = OpenRequests()
    task = open_requests.start(asyncio.Event().wait())
    await open_requests.stop(0.01)
    assert task.cancelled()
    assert len(open_requests) == 1


def test_the_name_of_a_route_is_no_pattern(gpt_oss: GptOss) -> None:
    names = {str(arguments["route"]) for _, _, arguments in routes(gpt_oss.door)}
    assert {"openapi.json", "v1/chat/completions", "status", "other"} <= names
    assert not any(set(name) & set("\\()+*?") for name in names)
