"""Chat completions over HTTP: streams and whole answers, and how they end when something goes wrong."""

import asyncio
import json
from typing import Any

import pytest
from jupyter_server.serverapp import ServerApp
from openai import APIError, AsyncOpenAI, AsyncStream
from openai.types.chat import ChatCompletionMessageParam
from pydantic import BaseModel

from jupyter_mlx_gpt_oss.app import GptOss
from jupyter_mlx_gpt_oss.engine.request import Progress, ProgressStage
from jupyter_mlx_gpt_oss.errors import (
    CapacityError,
    GenerationError,
    ModelLoadError,
    ModelLoadingError,
    OutOfMemoryError,
    QueueFullError,
)
from jupyter_mlx_gpt_oss.handlers.base import ApiHandler
from tests.support.http_client import Fetch, HttpClient, Reply
from tests.support.scripted_engine import ScriptedEngine, tokens_of

THOUGHT = "<|channel|>analysis<|message|>Let me see.<|end|><|start|>assistant"
ANSWER = "<|channel|>final<|message|>Hello there, friend.<|return|>"
CALL = '<|channel|>commentary to=functions.look <|constrain|>json<|message|>{"at": "sky"}<|call|>'
LOOK = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}


async def ending_of(engine: ScriptedEngine) -> str:
    return await asyncio.wait_for(engine.endings.get(), 5)


async def test_a_whole_answer_has_content_reasoning_and_usage(
    http: HttpClient, engine: ScriptedEngine
) -> None:
    engine.num_cached_tokens = 3
    engine.enqueue(THOUGHT, ANSWER)
    reply = await http.chat()
    assert reply.status == 200
    answer = reply.json
    assert answer["object"] == "chat.completion"
    assert answer["model"] == "demo"
    assert answer["id"].startswith("chatcmpl-")
    (choice,) = answer["choices"]
    assert choice["message"] == {
        "role": "assistant",
        "content": "Hello there, friend.",
        "refusal": None,
        "reasoning": "Let me see.",
        "reasoning_content": "Let me see.",
    }
    assert choice["finish_reason"] == "stop"
    usage = answer["usage"]
    assert usage["prompt_tokens"] == len(engine.requests[0].prompt_token_ids)
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert usage["prompt_tokens_details"] == {"cached_tokens": 3}
    assert usage["completion_tokens_details"]["reasoning_tokens"] == 4


async def test_a_stream_adds_up_to_the_whole_answer(http: HttpClient, engine: ScriptedEngine) -> None:
    for _ in range(2):
        engine.enqueue(THOUGHT, CALL)
    whole = (await http.chat(tools=[LOOK])).json
    stream = await http.chat(tools=[LOOK], stream=True, stream_options={"include_usage": True})
    *chunks, done = stream.frames
    assert done == "[DONE]"
    assert stream.response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert stream.response.headers["Cache-Control"] == "no-cache"
    assert stream.response.headers["X-Accel-Buffering"] == "no"
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"] == whole["usage"]
    assert all(chunk["usage"] is None for chunk in chunks[:-1])
    assert len({chunk["id"] for chunk in chunks}) == 1
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks[:-1]]
    message = whole["choices"][0]["message"]
    assert deltas[0] == {"role": "assistant", "content": ""}
    assert "".join(delta.get("reasoning", "") for delta in deltas) == message["reasoning"]
    calls = [call for delta in deltas for call in delta.get("tool_calls", ())]
    assert calls[0]["id"].startswith("call_")
    assert calls[0]["function"]["name"] == "look"
    assert "".join(call["function"]["arguments"] for call in calls) == '{"at": "sky"}'
    assert message["tool_calls"][0]["function"] == {"name": "look", "arguments": '{"at": "sky"}'}
    assert message["content"] is None
    assert chunks[-2]["choices"][0]["finish_reason"] == whole["choices"][0]["finish_reason"] == "tool_calls"


async def test_usage_is_streamed_only_where_it_was_asked_for(
    http: HttpClient, engine: ScriptedEngine
) -> None:
    engine.enqueue(ANSWER)
    *chunks, _ = (await http.chat(stream=True)).frames
    assert all("usage" not in chunk and chunk["choices"] for chunk in chunks)


@pytest.mark.parametrize("fields", [{"include_reasoning": False}, {"reasoning": {"exclude": True}}])
async def test_reasoning_can_be_hidden_and_still_counts(
    http: HttpClient, engine: ScriptedEngine, fields: dict[str, Any]
) -> None:
    engine.enqueue(THOUGHT, ANSWER)
    answer = (await http.chat(**fields)).json
    assert "reasoning" not in answer["choices"][0]["message"]
    assert answer["usage"]["completion_tokens_details"]["reasoning_tokens"] == 4


async def test_a_stop_string_cuts_the_content_and_aborts_the_rest(
    http: HttpClient, engine: ScriptedEngine
) -> None:
    engine.enqueue("<|channel|>analysis<|message|>a friend, then<|end|><|start|>assistant", ANSWER)
    choice = (await http.chat(stop=["friend"])).json["choices"][0]
    assert choice["message"]["content"] == "Hello there, "
    assert choice["message"]["reasoning"] == "a friend, then"
    assert choice["finish_reason"] == "stop"
    assert await ending_of(engine) == "closed"


async def test_a_truncated_answer_and_a_truncated_call_end_with_length(
    http: HttpClient, engine: ScriptedEngine
) -> None:
    engine.enqueue(ANSWER)
    choice = (await http.chat(max_completion_tokens=5)).json["choices"][0]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("Hello there", "length")
    engine.enqueue(CALL.split("sky", maxsplit=1)[0])
    choice = (await http.chat(tools=[LOOK])).json["choices"][0]
    assert choice["finish_reason"] == "length"


async def test_openai_client_streams_and_gets_the_whole(openai: AsyncOpenAI, engine: ScriptedEngine) -> None:
    engine.enqueue(THOUGHT, ANSWER)
    engine.enqueue(THOUGHT, ANSWER)
    whole = await openai.chat.completions.create(model="x", messages=[{"role": "user", "content": "Hi"}])
    assert whole.choices[0].message.content == "Hello there, friend."
    stream = await openai.chat.completions.create(
        model="x", messages=[{"role": "user", "content": "Hi"}], stream=True
    )
    text = [chunk.choices[0].delta.content or "" async for chunk in stream]
    assert "".join(text) == "Hello there, friend."


async def test_the_stream_helper_and_parse_work(openai: AsyncOpenAI, engine: ScriptedEngine) -> None:
    class Sky(BaseModel):
        colour: str

    hello: ChatCompletionMessageParam = {"role": "user", "content": "Hi"}
    for _ in range(2):
        engine.enqueue(THOUGHT, '<|channel|>final<|message|>{"colour": "blue"}<|return|>')
    async with openai.chat.completions.stream(model="any", messages=[hello], response_format=Sky) as stream:
        kinds = {event.type async for event in stream}
        streamed = (await stream.get_final_completion()).choices[0].message.parsed
    assert {"content.delta", "content.done"} <= kinds
    parsed = await openai.chat.completions.parse(model="any", messages=[hello], response_format=Sky)
    assert streamed == parsed.choices[0].message.parsed == Sky(colour="blue")


async def test_progress_is_a_comment_that_clients_ignore(
    http: HttpClient, openai: AsyncOpenAI, engine: ScriptedEngine
) -> None:
    progress = Progress(stage=ProgressStage.PREFILL, done=1, total=2)
    engine.enqueue(progress, ANSWER)
    engine.enqueue(progress, ANSWER)
    reply = await http.chat(stream=True)
    assert reply.text.startswith(': gpt-oss {"stage": "prefill", "done": 1, "total": 2}\n\ndata: ')
    stream = await openai.chat.completions.create(
        model="x", messages=[{"role": "user", "content": "Hi"}], stream=True
    )
    assert "".join([chunk.choices[0].delta.content or "" async for chunk in stream]) == "Hello there, friend."


class TestSilence:
    @pytest.fixture
    def gpt_oss_config(self) -> dict[str, Any]:
        return {"GptOssServing": {"keep_alive_seconds": 0.02}}

    async def test_a_silent_stream_is_kept_alive(
        self, jp_fetch: Fetch, engine: ScriptedEngine, jp_serverapp: ServerApp
    ) -> None:
        gate, parts = asyncio.Event(), bytearray()

        def receive(data: bytes) -> None:
            parts.extend(data)
            if parts.count(b": keep-alive\n\n") >= 2:
                gate.set()

        engine.enqueue(gate, ANSWER)
        body = {"messages": [{"role": "user", "content": "Hi"}], "stream": True}
        await jp_fetch(
            "gpt-oss/v1/chat/completions", method="POST", body=json.dumps(body), streaming_callback=receive
        )
        assert parts.startswith(b": keep-alive\n\n")
        assert parts.endswith(b"data: [DONE]\n\n")
        assert "jupyter_mlx_gpt_oss" in jp_serverapp.web_app.settings["last_activity_times"]


class TestWhileTheModelIsLoaded:
    @pytest.fixture
    def gpt_oss_config(self) -> dict[str, Any]:
        return {"GptOssServing": {"max_loading_wait_seconds": 0.1}}

    @pytest.mark.parametrize(
        ("route", "fields"),
        [
            ("chat/completions", {"messages": [{"role": "user", "content": "Hi"}]}),
            ("completions", {"prompt": "Hi"}),
            ("responses", {"input": "Hi"}),
        ],
    )
    async def test_a_request_that_does_not_stream_waits_for_so_long(
        self, http: HttpClient, engine: ScriptedEngine, route: str, fields: dict[str, Any]
    ) -> None:
        engine.enqueue(Progress(stage=ProgressStage.LOADING, done=1, total=2), asyncio.Event())
        reply = await http.post(f"gpt-oss/v1/{route}", fields)
        assert (reply.status, reply.error["code"]) == (503, "model_loading")
        assert int(reply.response.headers["Retry-After"]) > 0
        assert await asyncio.wait_for(engine.endings.get(), 5) == "closed"

    async def test_a_stream_waits_as_long_as_it_takes(self, http: HttpClient, engine: ScriptedEngine) -> None:
        gate = asyncio.Event()
        engine.enqueue(Progress(stage=ProgressStage.LOADING, done=1, total=2), gate, ANSWER)
        asyncio.get_running_loop().call_later(0.5, gate.set)
        reply = await http.chat(stream=True)
        assert (reply.status, reply.frames[-1]) == (200, "[DONE]")


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (QueueFullError("Full.", retry_after_seconds=7), 429, "rate_limit_exceeded"),
        (ModelLoadingError("Not yet.", retry_after_seconds=7), 503, "model_loading"),
    ],
)
async def test_an_error_before_the_first_byte_keeps_its_status(
    http: HttpClient, engine: ScriptedEngine, stream: bool, error: CapacityError, status: int, code: str
) -> None:
    engine.enqueue(error)
    reply = await http.chat(stream=stream)
    assert (reply.status, reply.error["code"]) == (status, code)
    assert reply.response.headers["Retry-After"] == "7"
    assert reply.response.headers["Content-Type"].startswith("application/json")


async def test_an_error_after_the_first_byte_is_the_last_frame(
    http: HttpClient, openai: AsyncOpenAI, engine: ScriptedEngine
) -> None:
    for _ in range(2):
        engine.enqueue("<|channel|>final<|message|>Hello", OutOfMemoryError("No memory is left."))
    *_, last = (await http.chat(stream=True)).frames
    assert last == {
        "error": {
            "message": "No memory is left.",
            "type": "server_error",
            "param": None,
            "code": "out_of_memory",
        }
    }
    stream = await openai.chat.completions.create(
        model="x", messages=[{"role": "user", "content": "Hi"}], stream=True
    )
    with pytest.raises(APIError, match="No memory is left"):
        async for _ in stream:
            pass


async def test_an_unforeseen_error_tells_nothing_but_where_the_log_has_it(
    http: HttpClient, engine: ScriptedEngine, caplog: pytest.LogCaptureFixture
) -> None:
    engine.enqueue(RuntimeError("the secret prompt"))
    reply = await http.chat()
    assert reply.status == 500
    request_id = reply.response.headers["X-Request-Id"]
    assert request_id in reply.error["message"]
    assert reply.error["code"] == "internal_error"
    errors = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert any(
        request_id in text and "RuntimeError" in text and "scripted_engine.py" in text for text in errors
    )
    assert "the secret prompt" not in caplog.text + reply.text


async def test_an_engine_that_stops_without_a_reason_never_looks_finished(
    http: HttpClient, engine: ScriptedEngine
) -> None:
    gate = asyncio.Event()
    engine.enqueue("<|channel|>final<|message|>Hello", gate)
    work = asyncio.ensure_future(http.chat())
    engine.abort((await engine.beginnings.get()).request_id)
    assert (await work).error["code"] == GenerationError.code


async def test_a_model_that_cannot_be_loaded_is_told_and_tried_again(
    http: HttpClient, engine: ScriptedEngine
) -> None:
    engine.load_error = ModelLoadError("demo: the weights are missing.")
    reply = await http.chat()
    assert (reply.status, reply.error["code"]) == (500, "model_load_failed")
    assert (await http.get("gpt-oss/health")).status == 503
    engine.load_error = None
    assert (await http.chat()).status == 200
    assert (await http.get("gpt-oss/health")).status == 200


@pytest.mark.parametrize("stream", [True, False])
async def test_a_client_that_goes_aborts_its_request(
    openai: AsyncOpenAI, engine: ScriptedEngine, gpt_oss: GptOss, stream: bool
) -> None:
    engine.enqueue("<|channel|>final<|message|>Hello", asyncio.Event())
    request = asyncio.ensure_future(
        openai.chat.completions.create(model="x", messages=[{"role": "user", "content": "Hi"}], stream=stream)
    )
    if stream:
        opened = await request
        assert isinstance(opened, AsyncStream)
        await opened.close()
    else:
        await engine.beginnings.get()
        request.cancel()
    assert await ending_of(engine) == "closed"
    await asyncio.wait_for(gpt_oss.door.open_requests.all_answered(), 5)
    assert gpt_oss.current_activity() is None


async def test_a_client_that_goes_before_its_request_is_read_costs_no_answer(
    openai: AsyncOpenAI, engine: ScriptedEngine, gpt_oss: GptOss, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_asked, is_gone, may_go_on = asyncio.Event(), asyncio.Event(), asyncio.Event()
    chat_completions, notice = gpt_oss.service.chat_completions, ApiHandler.on_connection_close

    async def slow_work(owner: str) -> Any:
        is_asked.set()
        await may_go_on.wait()
        return await chat_completions(owner)

    def noted(handler: ApiHandler) -> None:
        notice(handler)
        is_gone.set()

    monkeypatch.setattr(gpt_oss.service, "chat_completions", slow_work)
    monkeypatch.setattr(ApiHandler, "on_connection_close", noted)
    messages: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Hi"}]
    request = asyncio.ensure_future(openai.chat.completions.create(model="x", messages=messages))
    await is_asked.wait()
    request.cancel()
    await asyncio.wait_for(is_gone.wait(), 5)
    may_go_on.set()
    await asyncio.sleep(0.2)  # in which the work would begin
    await asyncio.wait_for(gpt_oss.door.open_requests.all_answered(), 5)
    assert not engine.requests


async def test_a_stopping_server_ends_open_streams_with_an_error(
    http: HttpClient, jp_fetch: Fetch, engine: ScriptedEngine, gpt_oss: GptOss
) -> None:
    parts: list[bytes] = []
    has_begun = asyncio.Event()

    def receive(data: bytes) -> None:
        parts.append(data)
        if b"Hello" in data:
            has_begun.set()

    engine.enqueue("<|channel|>final<|message|>Hello", asyncio.Event())
    engine.enqueue("<|channel|>final<|message|>Hello", asyncio.Event())
    whole = asyncio.ensure_future(http.chat())
    await engine.beginnings.get()
    body = json.dumps({"messages": [{"role": "user", "content": "Hi"}], "stream": True})
    stream = asyncio.ensure_future(
        jp_fetch("gpt-oss/v1/chat/completions", method="POST", body=body, streaming_callback=receive)
    )
    await has_begun.wait()
    assert gpt_oss.current_activity() == 2
    await gpt_oss.stop_extension()
    await stream
    last = b"".join(parts).decode().strip().rsplit("data: ", maxsplit=1)[-1]
    assert json.loads(last)["error"]["code"] == "server_stopping"
    reply = await whole
    assert (reply.status, reply.error["code"]) == (503, "server_stopping")
    assert (await http.chat()).error["code"] == "server_stopping"
    assert engine.is_stopped
    assert gpt_oss.current_activity() is None


async def test_openai_client_gets_several_answers_and_log_probabilities(
    openai: AsyncOpenAI, engine: ScriptedEngine
) -> None:
    for _ in range(4):
        engine.enqueue(THOUGHT, ANSWER)
    messages: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Hi"}]
    whole = await openai.chat.completions.create(
        model="x", messages=messages, n=2, logprobs=True, top_logprobs=3
    )
    for choice in whole.choices:
        assert choice.logprobs is not None
        tokens = choice.logprobs.content or []
        assert "".join(token.token for token in tokens) == choice.message.content
        assert all(len(token.top_logprobs) == 3 for token in tokens)
    stream = await openai.chat.completions.create(
        model="x", messages=messages, n=2, stream=True, logprobs=True
    )
    texts = ["", ""]
    async for chunk in stream:
        for part in chunk.choices:
            texts[part.index] += part.delta.content or ""
    assert texts == ["Hello there, friend."] * 2


async def turn_after_a_call(http: HttpClient, **options: Any) -> Reply:
    """Call a tool with one key, and send the result back with what `options` say."""
    user = {"role": "user", "content": "Hi"}
    message = (await http.chat(tools=[LOOK])).json["choices"][0]["message"]
    del message["reasoning"], message["reasoning_content"]
    result = {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "blue"}
    body = {"messages": [user, message, result], "tools": [LOOK]}
    return await http.post("gpt-oss/v1/chat/completions", body, **options)


async def test_a_turn_is_continued_from_its_tokens_by_the_caller_who_had_it_alone(
    http: HttpClient, engine: ScriptedEngine, gpt_oss: GptOss
) -> None:
    turn = tuple(tokens_of(THOUGHT + CALL))
    other = {"Authorization": f"Bearer {gpt_oss.door.api_key}"}
    for headers in ({}, other):
        engine.enqueue(THOUGHT, CALL)
        reply = await turn_after_a_call(http, headers=headers)
        assert reply.status == 200
    first, again, _, others = (request.prompt_token_ids for request in engine.requests)
    assert again[: len(first) + len(turn)] == first + turn
    assert others[: len(first)] == first
    assert others[: len(first) + len(turn)] != first + turn


async def test_a_stop_with_work_ahead_leaves_no_task(
    http: HttpClient, engine: ScriptedEngine, gpt_oss: GptOss
) -> None:
    engine.enqueue(ANSWER)
    before = asyncio.all_tasks()
    await http.chat()
    await gpt_oss.stop_extension()
    assert not {task for task in asyncio.all_tasks() - before if "precompute" in repr(task)}


async def test_a_last_assistant_message_is_continued_unless_another_turn_is_asked_for(
    http: HttpClient, engine: ScriptedEngine
) -> None:
    messages = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "It is"}]
    cases: tuple[dict[str, Any], ...] = (
        {},
        {"continue_final_message": True, "add_generation_prompt": False},
        {"continue_final_message": False},
    )
    for fields in cases:
        engine.enqueue(ANSWER)
        assert (await http.chat(messages=messages, **fields)).status == 200
    default, continued, anew = (list(request.prompt_token_ids) for request in engine.requests)
    assert default == continued
    assert default[-2:] == tokens_of("It is")
    assert anew[-2:] == tokens_of("<|start|>assistant")
