"""The stand-in for an able model that other people's suites run against: it does what it is asked."""

import json
from typing import Any

import pytest

from tests.support.able_engine import THOUGHT
from tests.support.http_client import HttpClient

FUNCTION = {
    "name": "look_up",
    "parameters": {
        "type": "object",
        "properties": {"word": {"type": "string"}, "kinds": {"type": "array", "items": {"enum": ["a", "b"]}}},
        "required": ["word", "kinds"],
    },
}
QUESTION = {"role": "user", "content": "Please look up Kyoto."}
FORMAT = {
    "type": "json_schema",
    "json_schema": {
        "name": "status",
        "schema": {"type": "object", "properties": {"is_ok": {"type": "boolean"}}, "required": ["is_ok"]},
    },
}


@pytest.fixture
def gpt_oss_config() -> dict[str, Any]:
    return {"GptOss": {"engine_class": "tests.support.able_engine.AbleEngine"}}


async def ask(http: HttpClient, messages: list[Any], **fields: Any) -> dict[str, Any]:
    reply = await http.post("gpt-oss/v1/chat/completions", {"messages": messages, **fields})
    message: dict[str, Any] = reply.json["choices"][0]["message"]
    return message


async def test_it_calls_a_tool_once_and_tells_what_it_said(http: HttpClient) -> None:
    tools = [{"type": "function", "function": FUNCTION}]
    message = await ask(http, [QUESTION], tools=tools)
    assert message["reasoning"] == THOUGHT
    (call,) = message["tool_calls"]
    assert json.loads(call["function"]["arguments"]) == {"word": "Kyoto", "kinds": ["a"]}
    result = {"role": "tool", "tool_call_id": call["id"], "content": "A city."}
    message = await ask(http, [QUESTION, message, result], tools=tools)
    assert message["content"] == "The tool says: A city."


async def test_it_keeps_to_a_schema_and_thinks_where_it_may(http: HttpClient) -> None:
    assert (await ask(http, [QUESTION], response_format=FORMAT))["content"] == '{"is_ok": true}'
    message = await ask(http, [QUESTION], reasoning_effort="none")
    assert (message["content"], message.get("reasoning")) == ("You said: Please look up Kyoto.", None)
