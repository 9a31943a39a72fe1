"""Answers that a limit or a stop string cuts, anywhere: both routes, streamed and whole, say the same and lose nothing."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from jupyter_mlx_gpt_oss.engine.config import EngineConfig
from jupyter_mlx_gpt_oss.protocol.chat_answers import ChatCompletion, ChatCompletionChunk
from jupyter_mlx_gpt_oss.protocol.response_answers import Response
from jupyter_mlx_gpt_oss.serving.chat_fold import ChatCompletionFold
from jupyter_mlx_gpt_oss.serving.config import ServingConfig
from jupyter_mlx_gpt_oss.serving.service import Service
from tests.support.scripted_engine import ScriptedEngine, tokens_of

THOUGHT = "<|channel|>analysis<|message|>Så 🙂 tänker 日本語 👩‍👩‍👦.<|end|><|start|>assistant"
PREAMBLE = "<|channel|>commentary<|message|>Ich schaue 🔍.<|end|><|start|>assistant"
ANSWER = "<|channel|>final<|message|>Grüße, 世界 🌍🇯🇵!<|return|>"
CALL = '<|channel|>commentary to=functions.look <|constrain|>json<|message|>{"at": "the 🌙", "n": [1, 2]}<|call|>'
CODE = "<|channel|>analysis to=python code<|message|>print('日本')\n<|call|>"
TURNS = {"an answer": THOUGHT + ANSWER, "a call": THOUGHT + PREAMBLE + CALL, "code": THOUGHT + CODE}
TOOLS: list[dict[str, Any]] = [{"type": "function", "function": {"name": "look"}}, {"type": "python"}]
FLAT_TOOLS: list[dict[str, Any]] = [{"type": "function", "name": "look"}, {"type": "python"}]


@dataclass(frozen=True, slots=True)
class Said:
    """What an answer says, whatever its route."""

    reasoning: str
    content: str
    calls: tuple[tuple[str, str], ...]
    is_cut: bool
    num_tokens: int

    @property
    def characters(self) -> str:
        """All of it, but for a character of which the limit left a part."""
        return (self.reasoning + self.content + "".join(text for _, text in self.calls)).rstrip("\ufffd")


@pytest.fixture
def engine() -> ScriptedEngine:
    return ScriptedEngine(EngineConfig())


@pytest.fixture
def service(engine: ScriptedEngine, jp_asyncio_loop: asyncio.AbstractEventLoop) -> Iterator[Service]:
    service = Service(make_engine=lambda: engine, config=ServingConfig(), model_name="demo", version="1")
    yield service
    jp_asyncio_loop.run_until_complete(service.stop())


def said_by_chat(answer: ChatCompletion) -> Said:
    choice, message = answer.choices[0], answer.choices[0].message
    calls = tuple((call.function.name, call.function.arguments) for call in message.tool_calls or ())
    assert choice.finish_reason in {"length", "tool_calls" if calls else "stop"}
    is_cut = choice.finish_reason == "length"
    reasoning = message.reasoning if "reasoning" in message.model_fields_set else None
    return Said(reasoning or "", message.content or "", calls, is_cut, answer.usage.completion_tokens)


def said_by_response(response: Response) -> Said:
    items = [json.loads(item.to_json()) for item in response.output]
    texts: dict[str, list[str]] = {"reasoning": [], "message": []}
    for item in items:
        if item["type"] in texts:
            texts[item["type"]] += [part["text"] for part in item["content"]]
    calls = tuple((item["name"], item["arguments"]) for item in items if item["type"] == "function_call")
    is_cut = response.status == "incomplete"
    assert response.status in {"completed", "incomplete"}
    assert [item.get("status") for item in items[:-1]] == ["completed"] * len(items[:-1])
    if items:
        assert items[-1].get("status") in ({"incomplete", "completed"} if is_cut else {"completed"})
    assert response.usage is not None
    return Said(
        "".join(texts["reasoning"]), "".join(texts["message"]), calls, is_cut, response.usage.output_tokens
    )


async def chat_said(service: Service, engine: ScriptedEngine, script: str, **fields: Any) -> Said:
    """Ask twice, and return what both the stream and the whole answer say."""
    chat = await service.chat_completions("ann")
    body = {"messages": [{"role": "user", "content": "Hi"}], "tools": TOOLS, **fields}
    request = chat.read(json.dumps({**body, "stream_options": {"include_usage": True}}).encode())
    engine.enqueue(script)
    whole = [item async for item in chat.complete(request)][-1]
    engine.enqueue(script)
    fold = ChatCompletionFold()
    async for chunk in chat.stream(request):
        assert isinstance(chunk, ChatCompletionChunk)
        fold.add(chunk)
    assert isinstance(whole, ChatCompletion)
    said = said_by_chat(whole)
    assert said_by_chat(fold.whole()) == said
    return said


async def response_said(service: Service, engine: ScriptedEngine, script: str, **fields: Any) -> Said:
    """Ask twice, and return what the last event, the deltas and the whole response say."""
    responses = await service.responses("ann")
    request = responses.read(json.dumps({"input": "Hi", "tools": FLAT_TOOLS, **fields}).encode())
    engine.enqueue(script)
    whole = [item async for item in responses.complete(request)][-1]
    engine.enqueue(script)
    events = [json.loads(event.to_json()) async for event in responses.stream(request)]  # type: ignore[union-attr]
    assert isinstance(whole, Response)
    said = said_by_response(whole)
    deltas = {
        kind: "".join(event["delta"] for event in events if event["type"] == f"response.{kind}.delta")
        for kind in ("reasoning_text", "output_text", "function_call_arguments")
    }
    assert deltas == {
        "reasoning_text": said.reasoning,
        "output_text": said.content,
        "function_call_arguments": "".join(text for _, text in said.calls),
    }
    assert events[-1]["type"] == ("response.incomplete" if said.is_cut else "response.completed")
    return said


@pytest.mark.parametrize("turn", TURNS.values(), ids=TURNS)
async def test_a_limit_anywhere_loses_nothing_that_was_written(
    service: Service, engine: ScriptedEngine, turn: str
) -> None:
    num_tokens = len(tokens_of(turn))
    whole = await chat_said(service, engine, turn)
    assert not whole.is_cut
    before = ""
    for limit in range(1, num_tokens):
        said = await chat_said(service, engine, turn, max_completion_tokens=limit)
        assert said.is_cut, limit
        assert said.num_tokens == limit
        assert whole.reasoning.startswith(said.reasoning.rstrip("\ufffd")), limit
        assert whole.content.startswith(said.content.rstrip("\ufffd")), limit
        for (name, arguments), (whole_name, whole_arguments) in zip(said.calls, whole.calls, strict=False):
            assert name == whole_name
            assert whole_arguments.startswith(arguments.rstrip("\ufffd")), limit
        assert len(said.characters) >= len(before)
        before = said.characters
    assert whole.characters.startswith(before)
    assert len(whole.characters) - len(before) <= 2  # what closes the arguments


@pytest.mark.parametrize("turn", TURNS.values(), ids=TURNS)
async def test_both_routes_say_the_same_of_a_cut_answer(
    service: Service, engine: ScriptedEngine, turn: str
) -> None:
    for limit in range(1, len(tokens_of(turn)) + 1):
        said = await chat_said(service, engine, turn, max_completion_tokens=limit)
        assert await response_said(service, engine, turn, max_output_tokens=limit) == said, limit


@pytest.mark.parametrize(
    ("turn", "stop", "content"),
    [
        ("an answer", "世界", "Grüße, "),
        ("an answer", "界 🌍", "Grüße, 世"),
        ("an answer", "🇯", "Grüße, 世界 🌍"),
        ("an answer", "G", ""),
        ("an answer", "tänker", "Grüße, 世界 🌍🇯🇵!"),
        ("an answer", "<|return|>", "Grüße, 世界 🌍🇯🇵!"),
        ("a call", "schaue", "Ich "),
        ("a call", "the 🌙", "Ich schaue 🔍."),
        ("a call", "tänker", "Ich schaue 🔍."),
    ],
)
async def test_a_stop_string_cuts_the_content_alone(
    service: Service, engine: ScriptedEngine, turn: str, stop: str, content: str
) -> None:
    whole = await chat_said(service, engine, TURNS[turn])
    said = await chat_said(service, engine, TURNS[turn], stop=[stop, "never said"])
    assert (said.reasoning, said.content, said.is_cut) == (whole.reasoning, content, False)
    assert said.calls == (whole.calls if content == whole.content else ())


@pytest.mark.parametrize("limit_after", range(4))
async def test_a_limit_and_a_stop_string_together(
    service: Service, engine: ScriptedEngine, limit_after: int
) -> None:
    """What comes first counts; text that was held back for a stop string is given out when the limit comes."""
    script = THOUGHT + "<|channel|>final<|message|>one two three four<|return|>"
    limit = len(tokens_of(THOUGHT + "<|channel|>final<|message|>")) + 1 + limit_after
    said = await chat_said(service, engine, script, stop=["two three"], max_completion_tokens=limit)
    expected = [("one", True), ("one two", True), ("one ", False), ("one ", False)]
    assert (said.content, said.is_cut) == expected[limit_after]
