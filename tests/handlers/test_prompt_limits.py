"""Prompts that are too long: refused by name on every route, without being read to their end."""

from typing import Any

import pytest

from tests.support.http_client import HttpClient
from tests.support.scripted_engine import ScriptedEngine

MAX_BYTES = 20_000
PROSE = "The quick brown fox. " * 900  # 18,900 bytes
ROUTES: dict[str, tuple[str, Any]] = {
    "gpt-oss/v1/chat/completions": ("messages", lambda text: [{"role": "user", "content": text}]),
    "gpt-oss/v1/completions": ("prompt", lambda text: [text[:10], text]),
    "gpt-oss/v1/responses": ("input", lambda text: [{"role": "user", "content": text}]),
    "gpt-oss/v1/tokenize": ("prompt", str),
}


@pytest.fixture
def gpt_oss_config() -> dict[str, Any]:
    return {"GptOssServing": {"max_prompt_bytes": MAX_BYTES}, "GptOssEngine": {"context_length": 1000}}


@pytest.mark.parametrize("route", ROUTES)
async def test_too_many_bytes_are_413_and_the_field_is_named(http: HttpClient, route: str) -> None:
    field, value_of = ROUTES[route]
    reply = await http.post(route, {field: value_of(PROSE + "é" * 1000)})
    assert (reply.status, reply.error["code"], reply.error["param"]) == (413, "request_too_large", field)
    assert f"at most {MAX_BYTES}" in reply.error["message"]


@pytest.mark.parametrize("route", [route for route in ROUTES if "tokenize" not in route])
async def test_a_prompt_beyond_the_context_is_not_read_to_its_end(
    http: HttpClient, engine: ScriptedEngine, route: str
) -> None:
    field, value_of = ROUTES[route]
    for is_loaded in (False, True):
        reply = await http.post(route, {field: value_of(PROSE)})
        assert (reply.status, reply.error["code"]) == (400, "context_length_exceeded")
        assert reply.error["param"] == field
        assert "1000 tokens" in reply.error["message"]
        assert ("about" in reply.error["message"]) == is_loaded
    assert len(engine.requests) <= 2  # the engine has not seen what it cannot read


async def test_tokens_beyond_the_context_are_counted(http: HttpClient) -> None:
    await http.chat()
    reply = await http.post("gpt-oss/v1/tokenize", {"prompt": PROSE})
    assert (reply.status, reply.json["max_model_len"]) == (200, 1000)
    assert reply.json["count"] > 1000


async def test_what_is_too_large_is_left_out_where_that_is_asked_for(http: HttpClient) -> None:
    items = [{"role": "user", "content": "The quick brown fox. " * 20} for _ in range(100)]
    reply = await http.post("gpt-oss/v1/responses", {"input": items, "truncation": "auto"})
    assert (reply.status, reply.json["status"]) == (200, "completed")
    assert reply.json["usage"]["input_tokens"] < 1000
