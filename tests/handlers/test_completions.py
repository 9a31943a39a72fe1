"""Raw completions over HTTP, also as OpenAI's client and a thin server ask for them."""

import asyncio
from typing import Any

import pytest
from openai import AsyncOpenAI, BadRequestError

from jupyter_mlx_gpt_oss.errors import GenerationError, QueueFullError
from jupyter_mlx_gpt_oss.vocabulary import SPECIAL_TOKENS
from tests.support.http_client import HttpClient
from tests.support.scripted_engine import ScriptedEngine, tokens_of

ROUTE = "gpt-oss/v1/completions"
ANSWER = "Hello there<|return|>"


async def test_a_whole_answer_has_text_and_usage(http: HttpClient, engine: ScriptedEngine) -> None:
    engine.enqueue(ANSWER)
    answer = (await http.post(ROUTE, {"model": "any", "prompt": "Say hello"})).json
    assert answer["id"].startswith("cmpl-")
    assert (answer["object"], answer["model"]) == ("text_completion", "demo")
    assert answer["choices"] == [
        {"index": 0, "text": "Hello there", "logprobs": None, "finish_reason": "stop", "stop_reason": None}
    ]
    assert answer["usage"]["completion_tokens"] == 3
    assert answer["usage"]["prompt_tokens"] == len(engine.requests[0].prompt_token_ids)


async def test_openais_client_reads_both_forms(openai: AsyncOpenAI, engine: ScriptedEngine) -> None:
    engine.enqueue(ANSWER)
    engine.enqueue(ANSWER)
    whole = await openai.completions.create(model="x", prompt="Say hello", logprobs=1)
    assert whole.choices[0].text == "Hello there"
    assert whole.choices[0].logprobs is not None
    stream = await openai.completions.create(
        model="x", prompt="Say hello", stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    assert "".join(choice.text for chunk in chunks for choice in chunk.choices) == "Hello there"
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert whole.usage is not None
    assert chunks[-1].usage.total_tokens == whole.usage.total_tokens


async def test_a_thin_server_sends_ids_and_gets_ids(http: HttpClient, engine: ScriptedEngine) -> None:
    prompt = tokens_of("<|start|>user<|message|>Hi<|end|><|start|>assistant")
    script = "<|channel|>final<|message|>Hello 😀<|return|>"
    engine.enqueue(script)
    stream = await http.post(
        ROUTE,
        {
            "prompt": prompt,
            "max_tokens": 500,
            "stream": True,
            "stream_options": {"include_usage": True},
            "return_token_ids": True,
            "skip_special_tokens": False,
            "stop_token_ids": [SPECIAL_TOKENS["<|call|>"]],
            "structured_outputs": {"grammar": "start: /(.|\\n)*/"},
            "cache_salt": "salt",
            "priority": 0,
            "seed": 3,
        },
    )
    *chunks, usage, done = stream.frames
    assert done == "[DONE]"
    choices = [chunk["choices"][0] for chunk in chunks]
    assert [token_id for choice in choices for token_id in choice["token_ids"]] == tokens_of(script)
    assert choices[0]["prompt_token_ids"] == prompt
    assert choices[-1]["finish_reason"] == "stop"
    assert usage["usage"]["completion_tokens"] == len(tokens_of(script))
    (request,) = engine.requests
    assert request.prompt_token_ids == tuple(prompt)
    assert request.sampling.seed == 3
    assert request.grammar is not None


async def test_an_error_in_a_stream_is_its_last_frame(http: HttpClient, engine: ScriptedEngine) -> None:
    engine.enqueue("Hello", GenerationError("It broke."))
    stream = await http.post(ROUTE, {"prompt": "a", "stream": True})
    assert stream.frames[-1]["error"]["code"] == "generation_failed"
    assert "[DONE]" not in stream.text


async def test_a_full_queue_is_told(http: HttpClient, engine: ScriptedEngine) -> None:
    engine.enqueue(QueueFullError("Full.", retry_after_seconds=7))
    reply = await http.post(ROUTE, {"prompt": "a"})
    assert (reply.status, reply.response.headers["Retry-After"]) == (429, "7")


@pytest.mark.parametrize(
    "body", [{"prompt": [1, "a"]}, {"prompt": "a", "suffix": "b"}, {"prompt": "a", "stop": ["\x00", 1]}]
)
async def test_a_wrong_field_is_named(http: HttpClient, engine: ScriptedEngine, body: dict[str, Any]) -> None:
    reply = await http.post(ROUTE, body)
    assert reply.status == 400
    assert reply.error["param"].startswith(("prompt", "suffix", "stop"))
    assert engine.requests == []


async def test_the_clients_type_holds_for_errors(openai: AsyncOpenAI) -> None:
    with pytest.raises(BadRequestError, match="suffix"):
        await openai.completions.create(model="x", prompt="a", suffix="b")


async def test_a_client_that_goes_ends_its_answers(openai: AsyncOpenAI, engine: ScriptedEngine) -> None:
    for _ in range(2):
        engine.enqueue("Hello", asyncio.Event(), " there")
    stream = await openai.completions.create(model="x", prompt=["a", "b"], stream=True)
    await anext(aiter(stream))
    await stream.close()
    assert [await asyncio.wait_for(engine.endings.get(), 10) for _ in range(2)] == ["closed", "closed"]
