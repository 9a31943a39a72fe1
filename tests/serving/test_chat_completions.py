"""Requests to chunks, and chunks to the whole answer."""

import itertools
import json
from typing import Any

import pytest

from jupyter_mlx_gpt_oss.engine.config import EngineConfig
from jupyter_mlx_gpt_oss.engine.request import Progress, ProgressStage
from jupyter_mlx_gpt_oss.engine.sampling import SamplingParams
from jupyter_mlx_gpt_oss.errors import GenerationError, InvalidRequestError
from jupyter_mlx_gpt_oss.harmony.encoding import decode
from jupyter_mlx_gpt_oss.protocol.chat_answers import ChatCompletion, ChatCompletionChunk
from jupyter_mlx_gpt_oss.serving.chat_completions import ALL_THAT_FITS, ChatCompletions, system_fingerprint
from jupyter_mlx_gpt_oss.serving.chat_fold import ChatCompletionFold
from tests.support.scripted_engine import ScriptedEngine

LOOK = {"type": "function", "function": {"name": "look"}}
NOON = 1_700_000_000.5
CALL = '<|channel|>commentary to=functions.look <|constrain|>json<|message|>{"at": "sky"}<|call|>'
SCRIPTS = [
    "<|channel|>final<|message|>Hello, **you**. 😀<|return|>",
    "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>Yes.<|return|>",
    "<|channel|>commentary<|message|>I look.<|end|><|start|>assistant" + CALL,
    "<|channel|>analysis<|message|>only a thought",
    "<|channel|>final<|message|><|return|>",
    "no channel at all<|return|>",
]


@pytest.fixture
def engine() -> ScriptedEngine:
    return ScriptedEngine(EngineConfig())


@pytest.fixture
def chat(engine: ScriptedEngine) -> ChatCompletions:
    numbers = itertools.count(1)
    return ChatCompletions(
        engine=engine,
        model_name="demo",
        new_id=lambda prefix: f"{prefix}{next(numbers)}",
        clock=lambda: NOON,
        version="1",
    )


def body(**fields: Any) -> bytes:
    return json.dumps({"messages": [{"role": "user", "content": "Hi"}], **fields}).encode()


async def chunks_of(chat: ChatCompletions, **fields: Any) -> list[ChatCompletionChunk]:
    request = chat.read(body(stream_options={"include_usage": True}, **fields))
    items = [item async for item in chat.stream(request)]
    return [item for item in items if isinstance(item, ChatCompletionChunk)]


async def whole_of(chat: ChatCompletions, **fields: Any) -> ChatCompletion:
    last = [item async for item in chat.complete(chat.read(body(**fields)))][-1]
    assert isinstance(last, ChatCompletion)
    return last


@pytest.mark.parametrize("script", SCRIPTS)
async def test_the_whole_answer_is_the_fold_of_the_stream(
    engine: ScriptedEngine, chat: ChatCompletions, script: str
) -> None:
    engine.enqueue(script)
    engine.enqueue(script)
    fold = ChatCompletionFold()
    for chunk in await chunks_of(chat, tools=[LOOK]):
        fold.add(ChatCompletionChunk.model_validate_json(chunk.to_json()))
    folded, whole = (
        json.loads(fold.whole().to_json()),
        json.loads((await whole_of(chat, tools=[LOOK])).to_json()),
    )
    for answer in (folded, whole):
        del answer["id"]
        for call in answer["choices"][0]["message"].get("tool_calls", ()):
            del call["id"]
    assert folded == whole


async def test_ids_and_times_are_made_once(engine: ScriptedEngine, chat: ChatCompletions) -> None:
    engine.enqueue(SCRIPTS[2])
    chunks = await chunks_of(chat, tools=[LOOK])
    assert {chunk.id for chunk in chunks} == {"chatcmpl-1"}
    assert engine.requests[0].request_id == "chatcmpl-1"
    assert {chunk.created for chunk in chunks} == {1_700_000_000}
    deltas = [choice.delta for chunk in chunks for choice in chunk.choices]
    assert [call.id for delta in deltas for call in delta.tool_calls or () if call.id] == ["call_2"]


async def test_sampling_reaches_the_engine(engine: ScriptedEngine, chat: ChatCompletions) -> None:
    await whole_of(
        chat,
        temperature=0,
        top_p=0.5,
        min_p=0.1,
        seed=-1,
        presence_penalty=1,
        logit_bias={"5": -100},
        top_k=40,
    )
    assert engine.requests[0].sampling == SamplingParams(
        temperature=0, top_p=0.5, min_p=0.1, seed=2**64 - 1, presence_penalty=1, logit_bias={5: -100}
    )


async def test_defaults_are_the_models_own(engine: ScriptedEngine, chat: ChatCompletions) -> None:
    await whole_of(chat)
    assert engine.requests[0].sampling == SamplingParams()
    assert engine.requests[0].max_tokens == ALL_THAT_FITS


async def test_the_prompt_has_the_effort_and_the_day(engine: ScriptedEngine, chat: ChatCompletions) -> None:
    await whole_of(chat, reasoning_effort="high")
    prompt = decode(list(engine.requests[0].prompt_token_ids))
    assert "Reasoning: high" in prompt
    assert "Current date: 2023-11-1" in prompt


async def test_no_reasoning_opens_the_answer_past_it(engine: ScriptedEngine, chat: ChatCompletions) -> None:
    engine.enqueue("Hello.<|return|>")
    answer = await whole_of(chat, reasoning_effort="none")
    message = answer.choices[0].message
    assert (message.content, message.reasoning) == ("Hello.", None)


async def test_a_last_assistant_message_is_continued(engine: ScriptedEngine, chat: ChatCompletions) -> None:
    engine.enqueue(" is 42.<|return|>")
    messages = [{"role": "user", "content": "?"}, {"role": "assistant", "content": "The answer"}]
    answer = await whole_of(chat, messages=messages)
    assert answer.choices[0].message.content == " is 42."


async def test_a_message_that_cannot_be_rendered_is_named(chat: ChatCompletions) -> None:
    image = [{"type": "image_url", "image_url": {"url": "data:"}}]
    with pytest.raises(InvalidRequestError) as caught:
        await whole_of(chat, messages=[{"role": "user", "content": image}])
    assert str(caught.value.param).startswith("messages[0].content")


async def test_without_a_choice_of_tools_a_call_is_no_call(
    engine: ScriptedEngine, chat: ChatCompletions
) -> None:
    engine.enqueue(CALL)
    choice = (await whole_of(chat, tools=[LOOK], tool_choice="none")).choices[0]
    assert (choice.message.tool_calls, choice.finish_reason) == (None, "stop")
    assert "namespace functions" not in decode(list(engine.requests[0].prompt_token_ids))


async def test_progress_is_told_before_a_whole_answer_too(
    engine: ScriptedEngine, chat: ChatCompletions
) -> None:
    engine.enqueue(Progress(stage=ProgressStage.LOADING), SCRIPTS[0])
    items = [item async for item in chat.complete(chat.read(body()))]
    assert [type(item) for item in items] == [Progress, ChatCompletion]


def test_chunks_without_an_end_are_no_answer() -> None:
    with pytest.raises(GenerationError, match="before it was complete"):
        ChatCompletionFold().whole()


async def test_an_answer_without_text_has_empty_content(
    engine: ScriptedEngine, chat: ChatCompletions
) -> None:
    engine.enqueue(SCRIPTS[3])
    message = (await whole_of(chat)).choices[0].message
    assert (message.content, message.reasoning, message.tool_calls) == ("", "only a thought", None)


def test_the_fingerprint_tells_versions_and_models_apart() -> None:
    assert system_fingerprint("1", "a", None) == system_fingerprint("1", "a", None)
    others = [("2", "a", None), ("1", "b", None), ("1", "a", "mxfp4")]
    assert len({system_fingerprint(*other) for other in [("1", "a", None), *others]}) == 4
