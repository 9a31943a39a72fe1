"""Requests to chunks, and chunks to the whole answer."""

import asyncio
import itertools
import json
import threading
from collections.abc import Collection
from typing import Any

import pytest

from jupyter_mlx_gpt_oss.engine.config import EngineConfig
from jupyter_mlx_gpt_oss.engine.request import Progress, ProgressStage, TokenLogprobs
from jupyter_mlx_gpt_oss.engine.sampling import SamplingParams
from jupyter_mlx_gpt_oss.errors import GenerationError, InvalidRequestError
from jupyter_mlx_gpt_oss.harmony import HarmonyParser
from jupyter_mlx_gpt_oss.harmony.encoding import decode
from jupyter_mlx_gpt_oss.protocol.chat_answers import ChatCompletion, ChatCompletionChunk
from jupyter_mlx_gpt_oss.serving import chat_completions
from jupyter_mlx_gpt_oss.serving.background import Background
from jupyter_mlx_gpt_oss.serving.chat_chunks import usage_of
from jupyter_mlx_gpt_oss.serving.chat_completions import ALL_THAT_FITS, ChatCompletions, system_fingerprint
from jupyter_mlx_gpt_oss.serving.chat_fold import ChatCompletionFold
from jupyter_mlx_gpt_oss.serving.chat_logprobs import choice_logprobs
from jupyter_mlx_gpt_oss.serving.chat_prompt import ChatPrompts
from jupyter_mlx_gpt_oss.serving.content_tokens import SampledToken
from jupyter_mlx_gpt_oss.serving.generation import Finished
from jupyter_mlx_gpt_oss.serving.metrics import Metrics
from jupyter_mlx_gpt_oss.serving.turn_memory import TurnMemory
from jupyter_mlx_gpt_oss.vocabulary import token_bytes
from tests.support.scripted_engine import ScriptedEngine, tokens_of

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
def chat(engine: ScriptedEngine, background: Background) -> ChatCompletions:
    numbers = itertools.count(1)
    memory = TurnMemory(max_items=10, max_bytes=100_000)
    return ChatCompletions(
        engine=engine,
        prompts=ChatPrompts(memory=memory, owner="ann", clock=lambda: NOON),
        metrics=Metrics(engine.status),
        background=background,
        model_name="demo",
        new_id=lambda prefix: f"{prefix}{next(numbers)}",
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


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"functions": [{"name": "look", "description": 1}]}, "functions[0].description"),
        ({"tools": [LOOK], "functions": [{"name": "a b"}]}, "functions[0].name"),
        ({"tools": [{"type": "function"}], "functions": [{"name": "see"}]}, "tools[0].function"),
        ({"functions": [{"name": "look"}], "function_call": {"name": "see"}}, "function_call.name"),
        ({"functions": [{"name": "look"}], "function_call": "always"}, "function_call"),
        ({"functions": [{"name": f"look_{number}"} for number in range(129)]}, "functions"),
        ({"tools": [LOOK] * 100, "functions": [{"name": "see"}] * 29}, "tools"),
        ({"tools": [LOOK], "tool_choice": "always", "function_call": "auto"}, "tool_choice"),
    ],
)
async def test_a_legacy_field_at_fault_is_named_as_it_was_sent(
    chat: ChatCompletions, fields: dict[str, Any], param: str
) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        await whole_of(chat, **fields)
    assert caught.value.param == param
    assert caught.value.message.startswith(param)


async def test_without_a_choice_of_tools_a_call_is_no_call(
    engine: ScriptedEngine, chat: ChatCompletions
) -> None:
    engine.enqueue(CALL)
    choice = (await whole_of(chat, tools=[LOOK], tool_choice="none")).choices[0]
    assert (choice.message.tool_calls, choice.finish_reason) == (None, "stop")
    assert "namespace functions" not in decode(list(engine.requests[0].prompt_token_ids))


async def test_a_legacy_schema_that_the_engine_refuses_is_named_as_it_was_sent(
    engine: ScriptedEngine, chat: ChatCompletions
) -> None:
    param = "tools[0].function.parameters"
    engine.enqueue(InvalidRequestError(f"{param} cannot be held to.", param=param))
    with pytest.raises(InvalidRequestError) as caught:
        await whole_of(chat, functions=[{"name": "look", "parameters": {}}])
    assert (caught.value.param, caught.value.message) == (
        "functions[0].parameters",
        "functions[0].parameters cannot be held to.",
    )


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


SAID = "<|channel|>final<|message|>One.<|return|>"


async def test_several_answers_have_one_prompt_and_their_own_seeds(
    engine: ScriptedEngine, chat: ChatCompletions
) -> None:
    scripts = [SAID, SCRIPTS[1], SCRIPTS[2]]
    for script in scripts:
        engine.enqueue(script)
    answer = await whole_of(chat, n=3, seed=-2, tools=[LOOK])
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    assert [choice.message.content for choice in answer.choices] == ["One.", "Yes.", "I look."]
    assert [choice.finish_reason for choice in answer.choices] == ["stop", "stop", "tool_calls"]
    assert [request.sampling.seed for request in engine.requests] == [2**64 - 2, 2**64 - 1, 0]
    assert len({request.request_id for request in engine.requests}) == 3
    assert len({request.prompt_token_ids for request in engine.requests}) == 1
    assert answer.usage.prompt_tokens == len(engine.requests[0].prompt_token_ids)
    assert answer.usage.completion_tokens == sum(len(tokens_of(script)) for script in scripts)


async def test_several_answers_without_a_seed_have_none(
    engine: ScriptedEngine, chat: ChatCompletions
) -> None:
    await whole_of(chat, n=2)
    assert [request.sampling.seed for request in engine.requests] == [None, None]


async def test_several_answers_are_streamed_as_they_come(
    engine: ScriptedEngine, chat: ChatCompletions
) -> None:
    engine.enqueue(Progress(stage=ProgressStage.QUEUED), SAID)
    engine.enqueue(Progress(stage=ProgressStage.QUEUED), SCRIPTS[0])
    request = chat.read(body(n=2, stream_options={"include_usage": True}))
    items = [item async for item in chat.stream(request)]
    assert sum(isinstance(item, Progress) for item in items) == 1
    chunks = [item for item in items if isinstance(item, ChatCompletionChunk)]
    order = [choice.index for chunk in chunks for choice in chunk.choices]
    assert order[:4] == [0, 1, 0, 1]
    assert [chunk.usage is not None for chunk in chunks].count(True) == 1
    assert chunks[-1].usage is not None
    fold = ChatCompletionFold()
    for chunk in chunks:
        fold.add(chunk)
    assert [choice.message.content for choice in fold.whole().choices] == ["One.", "Hello, **you**. 😀"]


async def test_one_answer_that_fails_ends_them_all(engine: ScriptedEngine, chat: ChatCompletions) -> None:
    engine.enqueue("<|channel|>final<|message|>One", asyncio.Event())
    engine.enqueue("<|channel|>final<|message|>Two", GenerationError("No."))
    with pytest.raises(GenerationError, match="No"):
        await whole_of(chat, n=2)
    assert sorted([engine.endings.get_nowait(), engine.endings.get_nowait()]) == ["closed", "failed"]


async def test_cached_tokens_are_those_of_the_answer_that_computed_the_prompt() -> None:
    answers = [
        Finished(
            finish_reason="stop",
            num_prompt_tokens=100,
            num_completion_tokens=5,
            num_cached_tokens=num_cached_tokens,
            num_reasoning_tokens=2,
        )
        for num_cached_tokens in (40, 99)
    ]
    usage = usage_of(answers)
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (100, 10, 110)
    assert usage.prompt_tokens_details.cached_tokens == 40
    assert usage.completion_tokens_details.reasoning_tokens == 4


async def test_log_probabilities_are_told_in_openais_shape(
    engine: ScriptedEngine, chat: ChatCompletions
) -> None:
    engine.enqueue(SCRIPTS[1])
    engine.enqueue(SCRIPTS[1])
    choice = (await whole_of(chat, logprobs=True, top_logprobs=2)).choices[0]
    assert engine.requests[0].num_logprobs == 2
    assert choice.logprobs is not None
    told = [(token.token, bytes(token.bytes or ()), token.logprob) for token in choice.logprobs.content]
    assert told == [("Yes", b"Yes", -0.5), (".", b".", -0.5)]
    assert [token.logprob for token in choice.logprobs.content[0].top_logprobs] == [-0.5, -1.5]
    assert choice.logprobs.content[0].top_logprobs[0].token == "Yes"
    chunks = await chunks_of(chat, logprobs=True)
    streamed = [choice.logprobs for chunk in chunks for choice in chunk.choices if choice.logprobs]
    assert [token.token for logprobs in streamed for token in logprobs.content] == ["Yes", "."]
    assert all(choice.delta.content for chunk in chunks for choice in chunk.choices if choice.logprobs)


async def test_without_being_asked_for_there_are_no_log_probabilities(
    engine: ScriptedEngine, chat: ChatCompletions
) -> None:
    choice = (await whole_of(chat)).choices[0]
    assert (choice.logprobs, engine.requests[0].num_logprobs) == (None, None)


def test_tokens_that_are_no_text_have_a_name_and_no_bytes() -> None:
    half = token_bytes().index(b"\xe9")
    top = ((200_002, -0.1), (200_001, -2.0), (tokens_of("é")[0], float("-inf")), (half, -3.0))
    logprobs = choice_logprobs([SampledToken(200_002, TokenLogprobs(-0.1, top))])
    assert logprobs is not None
    told = [(token.token, token.bytes, token.logprob) for token in logprobs.content[0].top_logprobs]
    assert told == [
        ("<|return|>", None, -0.1),
        ("<|reserved_200001|>", None, -2.0),
        ("é", list("é".encode()), -9999.0),
        ("\N{REPLACEMENT CHARACTER}", [0xE9], -3.0),
    ]


async def test_an_answer_that_is_continued_is_read_outside_of_the_loop(
    chat: ChatCompletions, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It can fill the context, and each of n answers has its own parser.
    threads = []

    class NotedParser(HarmonyParser):
        def __init__(self, names: Collection[str]) -> None:
            threads.append(threading.current_thread())
            super().__init__(names)

    monkeypatch.setattr(chat_completions, "HarmonyParser", NotedParser)
    messages = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Once"}]
    await whole_of(chat, messages=messages, n=2)
    assert len(threads) == 2
    assert threading.main_thread() not in threads
