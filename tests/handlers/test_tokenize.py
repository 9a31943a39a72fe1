"""Tokens of texts and of messages, and texts of tokens, over HTTP."""

from typing import Any

import pytest

from jupyter_mlx_gpt_oss.harmony.encoding import encode
from jupyter_mlx_gpt_oss.vocabulary import SPECIAL_TOKENS
from tests.support.http_client import HttpClient
from tests.support.scripted_engine import ScriptedEngine, tokens_of

TOKENIZE = "gpt-oss/v1/tokenize"
DETOKENIZE = "gpt-oss/v1/detokenize"
LOOK = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}


async def test_a_text_has_tokens_and_their_count(http: HttpClient, engine: ScriptedEngine) -> None:
    answer = (await http.post(TOKENIZE, {"prompt": "Hello 😀", "return_token_strs": True})).json
    assert answer["tokens"] == encode("Hello 😀")
    assert answer["count"] == len(answer["tokens"])
    assert answer["max_model_len"] is None
    assert answer["token_strs"][0] == "Hello"
    await engine.load()
    answer = (await http.post(TOKENIZE, {"prompt": ""})).json
    assert answer == {"count": 0, "max_model_len": 4096, "tokens": []}


async def test_control_tokens_of_a_text_are_text(http: HttpClient) -> None:
    answer = (await http.post(TOKENIZE, {"prompt": "<|start|>system"})).json
    assert not set(answer["tokens"]) & set(SPECIAL_TOKENS.values())


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"tools": [LOOK], "reasoning_effort": "high"},
        {"reasoning": {"effort": "none"}},
        {"response_format": {"type": "json_object"}, "chat_template_kwargs": {"reasoning_effort": "low"}},
    ],
)
async def test_messages_have_the_tokens_of_their_chat_completion(
    http: HttpClient, engine: ScriptedEngine, fields: dict[str, Any]
) -> None:
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    body = {"messages": messages, **fields}
    answer = (await http.post(TOKENIZE, body)).json
    await http.post("gpt-oss/v1/chat/completions", body)
    assert answer["tokens"] == list(engine.requests[0].prompt_token_ids)


async def test_the_beginning_of_the_answer_can_be_left_out(http: HttpClient) -> None:
    messages = [{"role": "user", "content": "Hi"}]
    with_it = (await http.post(TOKENIZE, {"messages": messages})).json["tokens"]
    without = (await http.post(TOKENIZE, {"messages": messages, "add_generation_prompt": False})).json
    assert [*without["tokens"], *tokens_of("<|start|>assistant")] == with_it


async def test_tokens_become_text_with_control_tokens_written_out(http: HttpClient) -> None:
    text = "<|start|>user<|message|>Hi 😀<|end|>"
    assert (await http.post(DETOKENIZE, {"model": "x", "tokens": tokens_of(text)})).json == {"prompt": text}
    assert (await http.post(DETOKENIZE, {"tokens": []})).json == {"prompt": ""}
    assert (await http.post(DETOKENIZE, {"tokens": encode("🫠")[:1]})).json == {"prompt": "\ufffd"}


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        (TOKENIZE, {}, "prompt"),
        (TOKENIZE, {"prompt": "a", "messages": [{"role": "user", "content": "a"}]}, "prompt"),
        (TOKENIZE, {"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        (TOKENIZE, {"prompt": "a", "temperature": 1}, "temperature"),
        (DETOKENIZE, {}, "tokens"),
        (DETOKENIZE, {"tokens": [-1]}, "tokens[0]"),
        (DETOKENIZE, {"tokens": [201_088]}, "tokens[0]"),
        (DETOKENIZE, {"tokens": "a"}, "tokens"),
    ],
)
async def test_a_wrong_field_is_named(http: HttpClient, path: str, body: dict[str, Any], param: str) -> None:
    reply = await http.post(path, body)
    assert (reply.status, reply.error["param"]) == (400, param)
