"""Long conversations of responses: how many items they may have, and that nobody waits while they are read."""

import threading
from typing import Any

import pytest

from jupyter_mlx_gpt_oss.serving import response_question
from tests.support.http_client import HttpClient
from tests.support.scripted_engine import ScriptedEngine

ROUTE = "gpt-oss/v1/responses"


@pytest.fixture
def gpt_oss_config() -> dict[str, Any]:
    return {"GptOssServing": {"max_response_items": 4}}


def said(count: int) -> list[dict[str, Any]]:
    return [{"role": "user", "content": "word " * 50} for _ in range(count)]


async def test_an_input_of_too_many_items_is_refused_by_name(http: HttpClient) -> None:
    reply = await http.post(ROUTE, {"input": said(5)})
    assert (reply.status, reply.error["param"]) == (400, "input")
    assert "5 items; at most 4" in reply.error["message"]
    assert (await http.post(ROUTE, {"input": said(4)})).status == 200


async def test_a_conversation_that_has_grown_too_long_is_refused_by_name(http: HttpClient) -> None:
    first = await http.post(ROUTE, {"input": said(2)})  # and an answer
    fields = {"previous_response_id": first.json["id"]}
    reply = await http.post(ROUTE, {"input": said(2), **fields})
    assert (reply.status, reply.error["param"]) == (400, "previous_response_id")
    assert (await http.post(ROUTE, {"input": said(1), **fields})).status == 200


async def test_a_conversation_is_read_and_shortened_outside_of_the_loop(
    http: HttpClient, engine: ScriptedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.context_length = 200
    threads: dict[str, threading.Thread] = {}

    def note(name: str) -> None:
        work = getattr(response_question, name)

        def noted(*args: Any) -> Any:
            threads[name] = threading.current_thread()
            return work(*args)

        monkeypatch.setattr(response_question, name, noted)

    for name in ("messages_of", "num_bytes_of", "shortened"):
        note(name)
    assert (await http.post(ROUTE, {"input": said(4), "truncation": "auto"})).status == 200
    assert set(threads) == {"messages_of", "num_bytes_of", "shortened"}
    assert threading.main_thread() not in threads.values()
