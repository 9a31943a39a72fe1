"""Half a character, which JSON can spell and UTF-8 cannot, in every place that takes text: an answer or a 4xx, never a fault."""

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.http_client import HttpClient
from tests.support.scripted_engine import ScriptedEngine

HALF = "a\ud800b"
Place = tuple[str | int, ...]
TOOL = {
    "type": "function",
    "function": {
        "name": "look",
        "description": "Looks.",
        "parameters": {
            "type": "object",
            "description": "Where.",
            "properties": {"at": {"type": "string", "enum": ["sky"], "description": "A place."}},
        },
    },
}
CALL = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"at": "sky"}'}}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object", "title": "X"}}}
BODIES: dict[str, dict[str, Any]] = {
    "v1/chat/completions": {
        "model": "any",
        "messages": [
            {"role": "system", "content": "Be brief.", "name": "ann"},
            {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
            {"role": "assistant", "content": "I look.", "reasoning": "Hm.", "tool_calls": [CALL]},
            {"role": "tool", "tool_call_id": "call_1", "content": "Blue."},
        ],
        "tools": [TOOL],
        "tool_choice": "auto",
        "reasoning_effort": "low",
        "response_format": {"type": "text"},
        "stop": ["END"],
        "user": "ann",
        "metadata": {"a": "b"},
        "logit_bias": {"1": 1},
    },
    "v1/completions": {
        "model": "any",
        "prompt": ["Hi"],
        "stop": ["END"],
        "user": "ann",
        "cache_salt": "salt",
        "structured_outputs": {"choice": ["yes", "no"]},
    },
    "v1/responses": {
        "model": "any",
        "instructions": "Be brief.",
        "input": [
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
            {
                "type": "reasoning",
                "id": "rs_1",
                "summary": [],
                "content": [{"type": "reasoning_text", "text": "Hm."}],
            },
            {"type": "function_call", "call_id": "call_1", "name": "look", "arguments": '{"at": "sky"}'},
            {"type": "function_call_output", "call_id": "call_1", "output": "Blue."},
        ],
        "tools": [
            {"type": "function", "name": "look", "description": "Looks.", "parameters": {"type": "object"}}
        ],
        "metadata": {"a": "b"},
        "text": {"format": {"type": "json_schema", "name": "x", "schema": {"type": "object", "title": "X"}}},
        "user": "ann",
        "prompt_cache_key": "key",
    },
    "v1/tokenize": {"model": "any", "messages": [{"role": "user", "content": "Hi"}], "tools": [TOOL]},
    "v1/detokenize": {"model": "any", "tokens": [1]},
    "v1/load": {"model": "demo"},
}
EXTRA = [
    ("v1/chat/completions", {"messages": [{"role": "user", "content": "Hi"}], "response_format": SCHEMA}),
    ("v1/completions", {"prompt": "Hi", "structured_outputs": {"regex": HALF}}),
    ("v1/completions", {"prompt": "Hi", "structured_outputs": {"grammar": f'start: "{HALF}"'}}),
    ("v1/completions", {"prompt": "Hi", "structured_outputs": {"json": {"const": HALF}}}),
    ("v1/completions", {"prompt": HALF, "echo": True}),
    ("v1/tokenize", {"prompt": HALF, "return_token_strs": True}),
    ("v1/responses", {"input": HALF, "previous_response_id": HALF}),
]


def places(value: Any, where: Place = ()) -> Iterator[Place]:
    """Yield where a body has text."""
    if isinstance(value, str):
        yield where
    elif isinstance(value, dict):
        for key, child in value.items():
            yield from places(child, (*where, key))
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from places(child, (*where, index))


def with_half(body: dict[str, Any], where: Place, *, in_key: bool) -> dict[str, Any]:
    """Return the body with half a character in one place; in its key, or in its text."""
    changed = copy.deepcopy(body)
    *parents, last = where
    holder: Any = changed
    for part in parents:
        holder = holder[part]
    if in_key and isinstance(last, str):
        holder[HALF] = holder.pop(last)
    else:
        holder[last] = HALF
    return changed


@pytest.mark.parametrize("route", sorted(BODIES))
async def test_half_a_character_in_any_text_or_key_is_no_fault(
    http: HttpClient, engine: ScriptedEngine, route: str
) -> None:
    body = BODIES[route]
    assert (await http.post(f"gpt-oss/{route}", body)).status in {200, 202}
    for where in places(body):
        for in_key in (False, True):
            reply = await http.post(f"gpt-oss/{route}", with_half(body, where, in_key=in_key))
            assert reply.status < 500, (where, in_key, reply.text)
            if reply.status >= 400:
                assert reply.error["param"], (where, in_key, reply.text)
            json.loads(reply.text.encode())
    for request in engine.requests:
        (request.grammar or "").encode()


@pytest.mark.parametrize(("route", "body"), EXTRA, ids=range(len(EXTRA)))
async def test_half_a_character_is_no_fault_where_texts_are_read_in_their_own_way(
    http: HttpClient, route: str, body: dict[str, Any]
) -> None:
    whole = await http.post(f"gpt-oss/{route}", body)
    assert whole.status < 500
    streamed = await http.post(f"gpt-oss/{route}", {**body, "stream": True})
    assert streamed.status < 500


async def test_what_is_given_back_has_the_replacement_character(http: HttpClient) -> None:
    echoed = await http.post("gpt-oss/v1/completions", {"prompt": HALF, "echo": True})
    assert echoed.json["choices"][0]["text"].startswith("a\ufffdb")
    response = await http.post("gpt-oss/v1/responses", {"input": "Hi", "metadata": {"a": HALF}})
    assert response.json["metadata"] == {"a": "a\ufffdb"}


@pytest.mark.parametrize("path", ["v1/models/a%ED%A0%80b", "v1/responses/a%ED%A0%80b"])
async def test_half_a_character_in_a_url_is_no_fault(http: HttpClient, path: str) -> None:
    assert (await http.get(f"gpt-oss/{path}")).status in {400, 404}
