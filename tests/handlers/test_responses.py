"""Responses over HTTP, with OpenAI's own client: events, what is kept, and what goes on from it."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from openai import AsyncOpenAI, BadRequestError, NotFoundError
from openai.types.responses import Response, ResponseFunctionToolCall, ResponseReasoningItem
from openai.types.responses.response_item_list import ResponseItemList
from pydantic import BaseModel, TypeAdapter

from jupyter_mlx_gpt_oss import errors
from jupyter_mlx_gpt_oss.app import GptOss
from jupyter_mlx_gpt_oss.engine.request import Progress, ProgressStage
from jupyter_mlx_gpt_oss.errors import GenerationError, InvalidRequestError, QueueFullError
from jupyter_mlx_gpt_oss.protocol.response_events import DeltaEvent, LifecycleEvent
from jupyter_mlx_gpt_oss.protocol.responses import ResponsesRequest
from tests.support.http_client import HttpClient
from tests.support.scripted_engine import ScriptedEngine, tokens_of

ROUTE = "gpt-oss/v1/responses"
THOUGHT = "<|channel|>analysis<|message|>Let me see.<|end|><|start|>assistant"
ANSWER = "<|channel|>final<|message|>Hello there, friend.<|return|>"
CALL = '<|channel|>commentary to=functions.look <|constrain|>json<|message|>{"at": "sky"}<|call|>'
LOOK: dict[str, Any] = {
    "type": "function",
    "name": "look",
    "parameters": {"type": "object", "properties": {}},
    "strict": False,
}


async def create(openai: AsyncOpenAI, **fields: Any) -> Response:
    """Ask as a client does, with plain JSON, and hold the answer to the client's own types."""
    response: Response = await openai.responses.create(**{"model": "any", "input": "Hi", **fields})
    TypeAdapter(Response).validate_python(response.to_dict())
    return response


async def events_of(http: HttpClient, **fields: Any) -> list[dict[str, Any]]:
    reply = await http.post(ROUTE, {"model": "any", "input": "Hi", "stream": True, **fields})
    *events, last = reply.frames
    if last != "[DONE]":
        events.append(last)
        assert last["type"] == "response.failed"
    names = [line.removeprefix("event: ") for line in reply.text.splitlines() if line.startswith("event: ")]
    assert names == [event["type"] for event in events]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    return events


async def test_an_answer_has_a_reasoning_item_a_message_and_usage(
    openai: AsyncOpenAI, engine: ScriptedEngine
) -> None:
    engine.num_cached_tokens = 3
    engine.enqueue(THOUGHT, ANSWER)
    response = await create(openai, instructions="Be kind.", metadata={"a": "b"})
    assert (response.status, response.model, response.metadata) == ("completed", "demo", {"a": "b"})
    assert response.output_text == "Hello there, friend."
    thought, message = response.output
    assert isinstance(thought, ResponseReasoningItem)
    assert thought.content is not None
    assert thought.content[0].text == "Let me see."
    assert (thought.summary, message.type) == ([], "message")
    assert response.usage is not None
    assert response.usage.input_tokens == len(engine.requests[0].prompt_token_ids)
    assert response.usage.input_tokens_details.cached_tokens == 3
    assert response.usage.output_tokens_details.reasoning_tokens == 4
    assert response.usage.total_tokens == response.usage.input_tokens + response.usage.output_tokens


async def test_events_open_and_close_every_item_in_order(http: HttpClient, engine: ScriptedEngine) -> None:
    engine.enqueue(THOUGHT, CALL)
    events = await events_of(http, tools=[LOOK])
    types = [event["type"].removeprefix("response.") for event in events]
    assert list(dict.fromkeys(types)) == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "reasoning_text.delta",
        "reasoning_text.done",
        "content_part.done",
        "output_item.done",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "completed",
    ]
    open_id = None
    for event in events[2:-1]:
        if event["type"] == "response.output_item.added":
            assert open_id is None
            open_id = event["item"]["id"]
        elif event["type"] == "response.output_item.done":
            assert event["item"]["id"] == open_id
            open_id = None
        else:
            assert event["item_id"] == open_id
    added = [event["output_index"] for event in events if event["type"].endswith("item.added")]
    assert added == [0, 1]


async def test_a_stream_adds_up_to_its_last_event_and_to_the_whole_response(
    http: HttpClient, engine: ScriptedEngine
) -> None:
    engine.enqueue(THOUGHT, ANSWER)
    engine.enqueue(THOUGHT, ANSWER)
    events = await events_of(http)
    whole = (await http.post(ROUTE, {"model": "any", "input": "Hi"})).json
    last = events[-1]["response"]
    items = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    assert last["output"] == items
    deltas = [event["delta"] for event in events if event["type"] == "response.output_text.delta"]
    assert "".join(deltas) == items[1]["content"][0]["text"] == "Hello there, friend."

    def plain(response: dict[str, Any]) -> dict[str, Any]:
        output = [{**item, "id": ""} for item in response["output"]]
        return {**response, "id": "", "created_at": 0, "output": output}

    assert plain(whole) == plain(last)


async def test_the_stream_helper_and_parse_work(openai: AsyncOpenAI, engine: ScriptedEngine) -> None:
    class Sky(BaseModel):
        colour: str

    json_answer = '<|channel|>final<|message|>{"colour": "blue"}<|return|>'
    engine.enqueue(THOUGHT, json_answer)
    engine.enqueue(THOUGHT, json_answer)
    async with openai.responses.stream(model="any", input="Sky?", text_format=Sky) as stream:
        types = [event.type async for event in stream]
        streamed = (await stream.get_final_response()).output_parsed
    assert types[-1] == "response.completed"
    parsed = await openai.responses.parse(model="any", input="Sky?", text_format=Sky)
    assert streamed == parsed.output_parsed == Sky(colour="blue")
    assert engine.requests[0].grammar is not None


@pytest.mark.parametrize("way", ["previous_response_id", "echo", "references"])
async def test_a_tool_loop_goes_on_from_the_sampled_tokens(
    openai: AsyncOpenAI, engine: ScriptedEngine, way: str
) -> None:
    engine.enqueue(THOUGHT, CALL)
    engine.enqueue(ANSWER)
    first = await create(openai, tools=[LOOK])
    call = first.output[-1]
    assert isinstance(call, ResponseFunctionToolCall)
    assert call.arguments == '{"at": "sky"}'
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "blue"}
    question = {"role": "user", "content": [{"type": "input_text", "text": "Hi"}]}
    asked: dict[str, dict[str, Any]] = {
        "previous_response_id": {"previous_response_id": first.id, "input": [result]},
        "echo": {"input": [question, *(item.to_dict() for item in first.output), result]},
        "references": {
            "input": [
                question,
                *({"type": "item_reference", "id": item.id} for item in first.output),
                result,
            ]
        },
    }
    second = await create(openai, tools=[LOOK], **asked[way])
    assert second.output_text == "Hello there, friend."
    before, after = (request.prompt_token_ids for request in engine.requests)
    sampled = (*before, *tokens_of(THOUGHT + CALL))
    assert after[: len(sampled)] == sampled


async def test_a_conversation_goes_on_without_the_old_instructions(
    openai: AsyncOpenAI, engine: ScriptedEngine
) -> None:
    engine.enqueue(ANSWER)
    first = await create(openai, instructions="Speak Latin.")
    await create(openai, input="And now?", previous_response_id=first.id)
    prompt = engine.requests[1].prompt_token_ids

    def holds(text: str) -> bool:
        part = tuple(tokens_of(text))
        return any(prompt[start : start + len(part)] == part for start in range(len(prompt)))

    assert holds("Hello there, friend.")
    assert not holds("Speak Latin.")


async def test_a_cut_answer_is_incomplete(openai: AsyncOpenAI, engine: ScriptedEngine) -> None:
    engine.enqueue(THOUGHT, ANSWER)
    response = await create(openai, max_output_tokens=len(tokens_of(THOUGHT)) + 4)
    assert response.status == "incomplete"
    assert response.incomplete_details is not None
    assert response.incomplete_details.reason == "max_output_tokens"
    assert [getattr(item, "status", None) for item in response.output] == ["completed", "incomplete"]


async def test_log_probabilities_come_with_the_text(openai: AsyncOpenAI, engine: ScriptedEngine) -> None:
    engine.enqueue(ANSWER)
    response = await create(openai, include=["message.output_text.logprobs"], top_logprobs=2)
    (message,) = response.output
    assert message.type == "message"
    (part,) = message.content
    assert part.type == "output_text"
    assert part.logprobs is not None
    assert "".join(token.token for token in part.logprobs) == "Hello there, friend."
    assert all(len(token.top_logprobs) == 2 for token in part.logprobs)


async def test_a_failure_before_the_answer_is_a_status(http: HttpClient, engine: ScriptedEngine) -> None:
    engine.enqueue(QueueFullError("Full."))
    reply = await http.post(ROUTE, {"input": "Hi", "stream": True})
    assert (reply.status, reply.error["code"]) == (429, "rate_limit_exceeded")


async def test_a_failure_within_the_answer_is_the_last_event(
    http: HttpClient, engine: ScriptedEngine
) -> None:
    engine.enqueue(THOUGHT, GenerationError("It broke."))
    events = await events_of(http)
    last = events[-1]
    assert (last["type"], last["response"]["status"]) == ("response.failed", "failed")
    assert last["response"]["error"] == {"code": "server_error", "message": "It broke."}
    assert "fault" not in last
    assert (await http.get(f"{ROUTE}/{last['response']['id']}")).json == last["response"]
    engine.enqueue(THOUGHT, GenerationError("It broke."))
    assert (await http.post(ROUTE, {"input": "Hi"})).status == 500


async def test_progress_comes_before_the_first_event(http: HttpClient, engine: ScriptedEngine) -> None:
    engine.enqueue(Progress(stage=ProgressStage.QUEUED, done=1), ANSWER)
    reply = await http.post(ROUTE, {"input": "Hi", "stream": True})
    assert reply.text.startswith(": gpt-oss ")


async def test_a_stream_is_cancelled_by_its_id(openai: AsyncOpenAI, engine: ScriptedEngine) -> None:
    never = asyncio.Event()
    engine.enqueue(THOUGHT, "<|channel|>final<|message|>Once upon", never)
    stream = await openai.responses.create(model="any", input="Hi", stream=True)
    response_id = ""
    last: Any = None
    async for event in stream:
        last = event
        if event.type == "response.created":
            response_id = event.response.id
        if event.type == "response.output_text.delta" and event.delta == " upon":
            cancelled = await openai.responses.cancel(response_id)
            assert (cancelled.status, cancelled.output_text) == ("cancelled", "Once upon")
    assert (last.type, last.response.status) == ("response.incomplete", "cancelled")
    assert await asyncio.wait_for(engine.endings.get(), 5) == "closed"
    assert (await openai.responses.retrieve(response_id)).output_text == "Once upon"
    assert (await openai.responses.cancel(response_id)).status == "cancelled"


async def test_a_response_that_was_cancelled_and_deleted_stays_deleted(
    gpt_oss: GptOss, engine: ScriptedEngine
) -> None:
    engine.enqueue("<|channel|>final<|message|>Once upon", asyncio.Event())
    work = await gpt_oss.service.responses("ann")
    request = ResponsesRequest.from_json(b'{"model": "any", "input": "Hi"}')
    response: Any = None
    async for event in work.stream(request):
        if isinstance(event, LifecycleEvent):
            response = event.response
        if (
            isinstance(event, DeltaEvent) and event.delta == "Once"
        ):  # the client reads slowly, and asks meanwhile
            work.cancel(response.id)
            work.delete(response.id)
    assert response.status == "cancelled"
    with pytest.raises(errors.NotFoundError):
        work.get(response.id)


async def test_a_client_that_goes_ends_its_response_and_leaves_nothing_open(
    openai: AsyncOpenAI, gpt_oss: GptOss, engine: ScriptedEngine
) -> None:
    engine.enqueue("<|channel|>final<|message|>Once upon", asyncio.Event())
    stream = await openai.responses.create(model="any", input="Hi", stream=True)
    created = await anext(aiter(stream))
    assert created.type == "response.created"
    await stream.close()
    assert await asyncio.wait_for(engine.endings.get(), 5) == "closed"
    await asyncio.wait_for(gpt_oss.door.open_requests.all_answered(), 5)
    with pytest.raises(NotFoundError):
        await openai.responses.cancel(created.response.id)


async def test_a_response_whose_end_is_on_its_way_is_not_cancelled(gpt_oss: GptOss) -> None:
    work = await gpt_oss.service.responses("ann")
    request = ResponsesRequest.from_json(b'{"model": "any", "input": "Hi"}')
    response_id = ""
    kinds: list[str] = []
    async for event in work.stream(request):
        if isinstance(event, Progress):
            continue
        kinds.append(event.type)
        if isinstance(event, LifecycleEvent):
            response_id = event.response.id
        if event.type == "response.output_text.done":  # the client reads slowly, and asks meanwhile
            with pytest.raises(InvalidRequestError, match="completed"):
                work.cancel(response_id)
    assert kinds[-1] == "response.completed"
    assert work.get(response_id).status == "completed"


async def test_an_item_stands_in_a_conversation_once(openai: AsyncOpenAI) -> None:
    first = await create(openai)
    reference = {"type": "item_reference", "id": first.output[-1].id}
    for fields in (
        {"input": [reference, reference]},
        {"input": [reference], "previous_response_id": first.id},
    ):
        with pytest.raises(BadRequestError, match="already"):
            await create(openai, **fields)


async def test_an_allowed_tool_of_an_odd_type_is_left_out(http: HttpClient) -> None:
    choice = {"type": "allowed_tools", "mode": "auto", "tools": [{"type": []}]}
    assert (await http.post(ROUTE, {"input": "Hi", "tool_choice": choice})).status < 500


async def test_a_finished_response_is_not_cancelled(openai: AsyncOpenAI) -> None:
    response = await create(openai)
    with pytest.raises(BadRequestError, match="completed"):
        await openai.responses.cancel(response.id)


async def test_a_kept_response_is_read_listed_and_deleted(openai: AsyncOpenAI) -> None:
    items = [{"role": "user", "content": text} for text in ("One", "Two", "Three")]
    response = await create(openai, input=items)
    assert (await openai.responses.retrieve(response.id)).to_dict() == response.to_dict()
    listed: list[Any] = [item async for item in openai.responses.input_items.list(response.id, limit=2)]
    assert [item.content[0].text for item in listed] == ["Three", "Two", "One"]
    page = await openai.responses.input_items.list(response.id, order="asc", limit=1)
    assert (len(page.data), page.has_more) == (1, True)
    await openai.responses.delete(response.id)
    with pytest.raises(NotFoundError):
        await openai.responses.retrieve(response.id)


async def test_the_items_that_were_asked_with_are_listed_as_openai_lists_them(http: HttpClient) -> None:
    items: list[dict[str, Any]] = [
        {"role": "user", "content": "One"},
        {"type": "reasoning", "content": [{"type": "reasoning_text", "text": "Hm."}], "summary": []},
        {"role": "assistant", "content": "Two"},
        {"type": "function_call", "call_id": "c", "name": "look", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "3"},
    ]
    response = (await http.post(ROUTE, {"input": items})).json
    path = f"{ROUTE}/{response['id']}/input_items"
    listed = (await http.get(path, params={"order": "asc"})).json
    read = TypeAdapter(ResponseItemList).validate_python(listed)
    assert [item.type for item in read.data] == [item.get("type", "message") for item in items]
    assert listed["data"][2]["content"] == [{"type": "output_text", "annotations": [], "text": "Two"}]
    empty = (await http.get(path, params={"after": listed["data"][0]["id"]})).json
    assert TypeAdapter(ResponseItemList).validate_python(empty).data == []


async def test_a_reference_need_not_say_that_it_is_one(openai: AsyncOpenAI, engine: ScriptedEngine) -> None:
    first = await create(openai, input=[{"type": None, "role": "user", "content": "One"}])
    answer = first.output[-1]
    named = await create(openai, input=[{"type": "item_reference", "id": answer.id}])
    bare = await create(openai, input=[{"id": answer.id}])
    assert (named.status, bare.status) == ("completed", "completed")
    assert engine.requests[1].prompt_token_ids == engine.requests[2].prompt_token_ids
    with pytest.raises(NotFoundError):
        await create(openai, input=[{"id": "msg_of_nobody"}])


async def test_a_request_without_input_is_a_message_without_text(
    http: HttpClient, engine: ScriptedEngine
) -> None:
    bodies: list[dict[str, Any]] = [{}, {"input": None}, {"input": []}, {"instructions": "Greet."}]
    for fields in bodies:
        assert (await http.post(ROUTE, fields)).json["status"] == "completed"
    assert (await http.post(ROUTE, {"input": ""})).status == 200
    assert engine.requests[0].prompt_token_ids == engine.requests[-1].prompt_token_ids


async def test_what_is_not_to_be_stored_is_not_kept(openai: AsyncOpenAI) -> None:
    response = await create(openai, store=False)
    with pytest.raises(NotFoundError):
        await openai.responses.retrieve(response.id)


async def test_the_response_of_another_is_unknown(http: HttpClient, openai: AsyncOpenAI) -> None:
    response = await create(openai)  # with the scoped key; `http` has the server's token
    path = f"{ROUTE}/{response.id}"
    for reply in (
        await http.get(path),
        await http.get(f"{path}/input_items"),
        await http.send("DELETE", path),
        await http.post(f"{path}/cancel", {}),
        await http.post(ROUTE, {"input": "Hi", "previous_response_id": response.id}),
        await http.post(ROUTE, {"input": [{"type": "item_reference", "id": response.output[0].id}]}),
    ):
        assert (reply.status, reply.error["code"]) == (404, "not_found")


async def test_an_unknown_response_is_unknown_however_it_is_asked_for(http: HttpClient) -> None:
    for path, query in (("", {"stream": "true"}), ("/input_items", {"limit": "0"})):
        reply = await http.get(f"{ROUTE}/resp_nobody{path}", params=query)
        assert (reply.status, reply.error["code"]) == (404, "not_found")


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "limit=1000", "order=up", "after=nobody"])
async def test_a_page_that_cannot_be_is_refused_by_name(
    http: HttpClient, engine: ScriptedEngine, query: str
) -> None:
    del engine
    response = (await http.post(ROUTE, {"input": "Hi"})).json
    reply = await http.fetch(
        f"{ROUTE}/{response['id']}/input_items", params=dict([query.split("=")]), raise_error=False
    )
    assert reply.code == 400
    assert query.split("=", maxsplit=1)[0].encode() in reply.body


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, "input[0].content[0]"),
        ({"input": [{"type": "web_search_call"}]}, "input[0].type"),
        (
            {"input": [{"type": "function_call_output", "call_id": "c", "output": ""}]},
            "input[0].call_id",
        ),
        ({"input": [{"type": ["message"], "role": "user", "content": ""}]}, "input[0].type"),
        ({"input": [{"role": ["user"], "content": ""}]}, "input[0].role"),
        ({"tools": [{"type": "function"}]}, "tools[0].name"),
        ({"tools": [LOOK, LOOK]}, "tools[1].name"),
        ({"tools": [LOOK], "tool_choice": {"type": "function", "name": "x"}}, "tool_choice.name"),
        ({"tools": [{**LOOK, "name": f"look_{number}"} for number in range(129)]}, "tools"),
        ({"text": {"format": {"type": "xml"}}}, "text.format.type"),
    ],
)
async def test_a_field_at_fault_is_named_as_it_was_sent(
    http: HttpClient, fields: dict[str, Any], param: str
) -> None:
    reply = await http.post(ROUTE, {"input": "Hi", **fields})
    assert (reply.status, reply.error["param"]) == (400, param)


async def test_odd_text_is_given_back_as_text(http: HttpClient, engine: ScriptedEngine) -> None:
    engine.enqueue(ANSWER)
    odd = "\ud800 \0 <|end|> \N{SNOWMAN}"
    tool = {**LOOK, "description": odd, "parameters": {"type": "object", "properties": {}, "x": 10**40}}
    reply = await http.post(ROUTE, {"input": [{"role": "user", "content": odd}], "tools": [tool]})
    assert reply.status == 200
    shown = odd.replace("\ud800", "\N{REPLACEMENT CHARACTER}")
    assert reply.json["tools"][0]["description"] == shown
    listed = (await http.get(f"{ROUTE}/{reply.json['id']}/input_items")).json
    assert listed["data"][0]["content"][0]["text"] == shown


async def test_tools_of_other_kinds_are_left_out(
    openai: AsyncOpenAI, http: HttpClient, engine: ScriptedEngine, caplog: pytest.LogCaptureFixture
) -> None:
    engine.enqueue(ANSWER)
    tools = [{"type": "web_search"}, {"type": "what a client wrote"}]
    assert (await create(openai, tools=tools[:1])).status == "completed"
    assert "web_search" in caplog.text
    assert "unknown" not in caplog.text
    assert (await http.post(ROUTE, {"input": "Hi", "tools": tools})).status == 200
    assert "Tools of type unknown" in caplog.text
    assert "what a client wrote" not in caplog.text


async def test_functions_of_a_namespace_are_called_and_their_calls_come_back(
    openai: AsyncOpenAI, engine: ScriptedEngine
) -> None:
    docs = {"type": "namespace", "name": "mcp__docs", "description": "", "tools": [LOOK]}
    engine.enqueue(CALL.replace("functions.look", "functions.mcp__docs__look"))
    first = await create(openai, tools=[{"type": "web_search"}, docs, LOOK])
    [call] = first.output
    assert isinstance(call, ResponseFunctionToolCall)
    assert (call.namespace, call.name) == ("mcp__docs", "look")
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "blue"}
    engine.enqueue(ANSWER)
    await create(openai, tools=[docs], input=[{"role": "user", "content": "Hi"}, call.to_dict(), result])
    engine.enqueue(ANSWER)
    await create(openai, tools=[docs], previous_response_id=first.id, input=[result])
    for request in engine.requests[1:]:
        assert _holds(request.prompt_token_ids, tokens_of(" to=functions.mcp__docs__look"))


def _holds(token_ids: Sequence[int], part: Sequence[int]) -> bool:
    length = len(part)
    return any(
        list(token_ids[start : start + length]) == list(part) for start in range(len(token_ids) - length + 1)
    )


async def test_an_error_about_a_tool_names_the_clients_own(http: HttpClient, engine: ScriptedEngine) -> None:
    wrong = {**LOOK, "parameters": "none", "strict": True}
    del engine  # it is not asked
    docs = {"type": "namespace", "name": "docs", "tools": [LOOK, {**wrong, "name": "other"}]}
    for tools, param in (
        ([{"type": "web_search"}, wrong], "tools[1].parameters"),
        ([{"type": "web_search"}, docs], "tools[1].tools[1].parameters"),
    ):
        refused = await http.post(ROUTE, {"input": "Hi", "tools": tools})
        assert refused.error["param"] == param
        assert param in refused.error["message"]


async def test_a_last_item_of_the_assistant_is_history(http: HttpClient, engine: ScriptedEngine) -> None:
    told = [{"role": "assistant", "content": "For context, here is the conversation so far."}]
    engine.enqueue(CALL)
    reply = await http.post(ROUTE, {"input": told, "tools": [LOOK], "tool_choice": "required"})
    assert [item["type"] for item in reply.json["output"]] == ["function_call"]
    engine.enqueue("<|channel|>final<|message|>{}<|return|>")
    form = {"type": "json_schema", "name": "any", "schema": {"type": "object"}}
    assert (await http.post(ROUTE, {"input": told, "text": {"format": form}})).status == 200
    for request in engine.requests:
        assert list(request.prompt_token_ids[-2:]) == tokens_of("<|start|>assistant")


async def test_items_begin_without_the_newline_that_joins_them_and_go_back_with_it(
    openai: AsyncOpenAI, engine: ScriptedEngine
) -> None:
    preamble = "<|channel|>commentary<|message|>I look.<|end|><|start|>assistant"
    turn = (THOUGHT, preamble, THOUGHT, CALL)
    engine.enqueue(*turn)
    first = await create(openai, tools=[LOOK])
    outputs: list[Any] = list(first.output)
    texts = [item.content[0].text for item in outputs if item.type != "function_call"]
    assert texts == ["Let me see.", "I look.", "Let me see."]
    call = first.output[-1]
    assert isinstance(call, ResponseFunctionToolCall)
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "blue"}
    engine.enqueue(preamble, ANSWER)
    second = await create(
        openai,
        tools=[LOOK],
        input=[{"role": "user", "content": "Hi"}, *(item.to_dict() for item in first.output), result],
    )
    outputs = list(second.output)
    assert [item.content[0].text for item in outputs] == ["I look.\nHello there, friend."]
    assert _holds(engine.requests[1].prompt_token_ids, tokens_of("".join(turn)))


async def test_what_codex_sends_is_served(http: HttpClient, engine: ScriptedEngine) -> None:
    engine.enqueue(ANSWER)
    events = await events_of(
        http,
        input=[{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]}],
        tools=[LOOK, {"type": "namespace", "name": "agents", "description": "", "tools": [LOOK]}],
        reasoning={"summary": "auto"},
        store=False,
        include=["reasoning.encrypted_content"],
        prompt_cache_key="a",
        client_metadata={"session_id": "b"},
    )
    assert events[-1]["type"] == "response.completed"


async def test_what_does_not_fit_is_left_out_only_where_asked_for(
    http: HttpClient, engine: ScriptedEngine
) -> None:
    engine.context_length = 300
    items = [{"role": "user", "content": "word " * 50} for _ in range(8)]
    refused = await http.post(ROUTE, {"input": items, "instructions": "Be kind."})
    assert (refused.error["code"], refused.error["param"]) == ("context_length_exceeded", "input")
    engine.enqueue(ANSWER)
    reply = await http.post(ROUTE, {"input": items, "instructions": "Be kind.", "truncation": "auto"})
    assert (reply.status, reply.json["status"]) == (200, "completed")
