"""Conversations with tools: each prompt goes on from the tokens that the model sampled."""

import asyncio
import itertools
import json
from typing import Any

import pytest

from jupyter_mlx_gpt_oss.engine.config import EngineConfig
from jupyter_mlx_gpt_oss.harmony import render_chat
from jupyter_mlx_gpt_oss.protocol.chat_answers import ChatCompletion
from jupyter_mlx_gpt_oss.serving.background import Background
from jupyter_mlx_gpt_oss.serving.chat_completions import ChatCompletions
from jupyter_mlx_gpt_oss.serving.chat_prompt import ChatPrompts
from jupyter_mlx_gpt_oss.serving.metrics import Metrics
from jupyter_mlx_gpt_oss.serving.turn_memory import TurnMemory
from tests.support.scripted_engine import ScriptedEngine, tokens_of

NOON = 1_699_963_200.0  # of 14 November 2023, in Greenwich
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}
HEAD = "<|start|>assistant"
ANSWER = (
    "<|channel|>analysis<|message|>Enough.<|end|><|start|>assistant<|channel|>final<|message|>Blue.<|return|>"
)


def step(number: int) -> str:
    """Return a turn with a header and a spacing that no renderer writes."""
    thought = f"<|channel|>analysis<|message|>Step {number}.<|end|>{HEAD}"
    preamble = f"<|channel|>commentary<|message|>I look.<|end|>{HEAD}" if number == 2 else ""
    call = f' to=functions.look<|channel|>commentary code<|message|>{{ "at":{number} }}<|call|>'
    return thought + preamble + call


class Talk:
    """A client with a conversation, who sends reasoning back or does not."""

    def __init__(
        self, engine: ScriptedEngine, memory: TurnMemory, background: Background, owner: str = "ann"
    ) -> None:
        numbers = itertools.count(1)
        self.engine = engine
        self.messages: list[dict[str, Any]] = [{"role": "user", "content": "What is the sky like?"}]
        self.fields: dict[str, Any] = {"tools": [TOOL]}
        self.chat = ChatCompletions(
            engine=engine,
            prompts=ChatPrompts(memory=memory, owner=owner, clock=lambda: NOON),
            metrics=Metrics(engine.status),
            background=background,
            model_name="demo",
            new_id=lambda prefix: f"{prefix}{next(numbers)}",
            version="1",
        )

    async def send(self, script: str) -> dict[str, Any]:
        """Send the conversation, and return the message that the model answers with."""
        self.engine.enqueue(script)
        body = json.dumps({"messages": self.messages, **self.fields}).encode()
        answer = [item async for item in self.chat.complete(self.chat.read(body))][-1]
        assert isinstance(answer, ChatCompletion)
        message: dict[str, Any] = json.loads(answer.choices[0].message.to_json())
        return message

    def add(self, message: dict[str, Any], *, reasoning: bool) -> None:
        """Add an answer to the conversation, with the result of its call."""
        kept = message if reasoning else {key: message[key] for key in ("role", "content", "tool_calls")}
        result = {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "blue"}
        self.messages += [kept, result]

    @property
    def prompt(self) -> tuple[int, ...]:
        """The last prompt."""
        return self.engine.requests[-1].prompt_token_ids


@pytest.fixture
def engine() -> ScriptedEngine:
    return ScriptedEngine(EngineConfig())


@pytest.fixture
def memory() -> TurnMemory:
    return TurnMemory(max_items=10, max_bytes=100_000)


@pytest.fixture
def talk(engine: ScriptedEngine, memory: TurnMemory, background: Background) -> Talk:
    return Talk(engine, memory, background)


def assert_goes_on(prompt: tuple[int, ...], before: tuple[int, ...], script: str) -> None:
    """Assert that a prompt begins with the one before it and all that was sampled there."""
    computed = (*before, *tokens_of(script))
    assert prompt[: len(computed)] == computed


@pytest.mark.parametrize("reasoning", [True, False])
@pytest.mark.parametrize("effort", ["medium", "none"])
async def test_each_prompt_of_a_tool_loop_begins_with_all_that_was_computed(
    talk: Talk, reasoning: bool, effort: str
) -> None:
    talk.fields["reasoning_effort"] = effort
    for number in (1, 2, 3):
        talk.add(await talk.send(step(number)), reasoning=reasoning)
    await talk.send(ANSWER)
    prompts = [request.prompt_token_ids for request in talk.engine.requests]
    for number, (before, prompt) in enumerate(itertools.pairwise(prompts), start=1):
        assert_goes_on(prompt, before, step(number))


async def test_the_prompt_has_no_message_twice_and_none_too_few(talk: Talk) -> None:
    talk.add(await talk.send(step(1)), reasoning=False)
    first = talk.prompt
    await talk.send(ANSWER)
    result = "<|start|>functions.look to=assistant<|channel|>commentary<|message|>blue<|end|>"
    assert talk.prompt == (*first, *tokens_of(step(1) + result + HEAD))


@pytest.mark.parametrize("field", ["arguments", "name"])
async def test_an_edited_call_is_rendered_anew(talk: Talk, field: str) -> None:
    message = await talk.send(step(1))
    first = talk.prompt
    message["tool_calls"][0]["function"][field] = "glance" if field == "name" else '{"at": 2}'
    talk.add(message, reasoning=True)
    await talk.send(ANSWER)
    assert list(talk.prompt) == render_chat(talk.messages, [TOOL], current_date="2023-11-14")
    assert talk.prompt[: len(first)] == first


async def test_an_edited_thought_is_rendered_anew(talk: Talk) -> None:
    message = await talk.send(step(1))
    message["reasoning"] = "Another thought."
    talk.add(message, reasoning=True)
    await talk.send(ANSWER)
    assert list(talk.prompt) == render_chat(talk.messages, [TOOL], current_date="2023-11-14")


async def test_another_callers_turn_is_never_used(
    talk: Talk, engine: ScriptedEngine, memory: TurnMemory, background: Background
) -> None:
    talk.add(await talk.send(step(1)), reasoning=False)
    other = Talk(engine, memory, background, owner="bob")
    other.messages = talk.messages
    await other.send(ANSWER)
    assert list(other.prompt) == render_chat(talk.messages, [TOOL], current_date="2023-11-14")


async def test_a_call_that_was_cut_off_is_not_kept(talk: Talk, memory: TurnMemory) -> None:
    await talk.send(step(1).removesuffix("<|call|>"))
    assert len(memory) == 0


async def test_after_an_answer_the_turns_before_it_lose_their_thoughts(talk: Talk) -> None:
    talk.add(await talk.send(step(1)), reasoning=True)
    talk.messages += [await talk.send(ANSWER), {"role": "user", "content": "And now?"}]
    await talk.send(ANSWER)
    assert list(talk.prompt) == render_chat(talk.messages, [TOOL], current_date="2023-11-14")


async def precomputed(talk: Talk) -> tuple[int, ...]:
    return await asyncio.wait_for(talk.engine.precomputed.get(), 5)


@pytest.mark.parametrize("reasoning", [True, False])
async def test_what_the_next_message_needs_is_computed_ahead(talk: Talk, reasoning: bool) -> None:
    talk.add(await talk.send(step(1)), reasoning=reasoning)
    assert talk.engine.precomputed.empty()
    answer = await talk.send(ANSWER)
    ahead = await precomputed(talk)
    talk.messages += [answer, {"role": "user", "content": "And now?"}]
    await talk.send(ANSWER)
    message = tokens_of("<|start|>user<|message|>And now?<|end|>" + HEAD)
    assert talk.prompt == (*ahead, *message)


async def test_a_continued_answer_and_several_answers_are_not_computed_ahead(
    talk: Talk, background: Background
) -> None:
    talk.fields = {"n": 2}
    await talk.send(ANSWER)
    talk.fields = {}
    talk.messages.append({"role": "assistant", "content": "The sky"})
    await talk.send(" is blue.<|return|>")
    assert len(background) == 0
    assert talk.engine.precomputed.empty()


async def test_boundaries_are_behind_every_message_before_the_answer(talk: Talk) -> None:
    talk.fields["reasoning_effort"] = "none"
    talk.add(await talk.send(step(1)), reasoning=True)
    await talk.send(ANSWER)
    request = talk.engine.requests[-1]
    ends = [
        end for end in request.boundaries if request.prompt_token_ids[end - 1] in tokens_of("<|end|><|call|>")
    ]
    assert list(request.boundaries) == ends
    assert len(ends) == 7  # system, developer, user, the empty analysis, a thought, its call, the result
    assert request.prompt_token_ids[ends[-1] :][:2] == tuple(tokens_of(HEAD))
