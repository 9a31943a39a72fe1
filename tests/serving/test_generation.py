"""One answer, from the engine's tokens to the summary."""

from collections.abc import AsyncGenerator
from typing import Any

import pytest
from typing_extensions import override

from jupyter_mlx_gpt_oss.engine.config import EngineConfig
from jupyter_mlx_gpt_oss.engine.request import GenerationRequest, Progress, ProgressStage, TokenOutput
from jupyter_mlx_gpt_oss.errors import GenerationError
from jupyter_mlx_gpt_oss.harmony import STOP_TOKEN_IDS, HarmonyParser
from jupyter_mlx_gpt_oss.harmony.encoding import decode
from jupyter_mlx_gpt_oss.harmony.events import ReasoningDelta, ToolCallStarted, TurnEnded
from jupyter_mlx_gpt_oss.serving.generation import AnswerItem, Content, Finished, Generation, Started
from jupyter_mlx_gpt_oss.vocabulary import token_bytes
from tests.support.scripted_engine import ScriptedEngine, Step, tokens_of


class SilentEngine(ScriptedEngine):
    """Breaks the protocol: its answers have no end."""

    @override
    async def generate(self, request: GenerationRequest) -> AsyncGenerator[Progress | TokenOutput, None]:
        yield TokenOutput(token_ids=(1,))


Item = Progress | AnswerItem


async def items_of(
    *script: Step,
    stop: tuple[str, ...] = (),
    max_tokens: int = 1000,
    tools: tuple[str, ...] = (),
    num_logprobs: int | None = None,
) -> list[Item]:
    engine = ScriptedEngine(EngineConfig())
    engine.enqueue(*script)
    request = GenerationRequest(
        request_id="a",
        prompt_token_ids=(1, 2, 3),
        max_tokens=max_tokens,
        stop_token_ids=STOP_TOKEN_IDS,
        num_logprobs=num_logprobs,
    )
    return [item async for item in Generation(engine, request, HarmonyParser(tools), stop).items()]


def text_of(items: list[Item]) -> str:
    return "".join(item.text for item in items if isinstance(item, Content))


def finished(items: list[Item]) -> Finished:
    last = items[-1]
    assert isinstance(last, Finished)
    return last


def sampled_text(items: list[Item]) -> str:
    """Return the text of the tokens that came with the content."""
    tokens = [token for item in items if isinstance(item, Content) for token in item.tokens]
    return b"".join(token_bytes()[token.token_id] for token in tokens).decode()


async def test_progress_comes_first_and_the_summary_last() -> None:
    script = "<|channel|>final<|message|>Hi<|return|>"
    items = await items_of(Progress(stage=ProgressStage.QUEUED), script)
    assert isinstance(items[0], Progress)
    assert isinstance(items[1], Started)
    assert text_of(items) == "Hi"
    assert TurnEnded() in items
    assert finished(items) == Finished(
        finish_reason="stop",
        num_prompt_tokens=3,
        num_completion_tokens=len(tokens_of(script)),
        num_cached_tokens=0,
        num_reasoning_tokens=0,
    )


async def test_tokens_after_the_end_of_the_turn_do_not_count() -> None:
    script = "<|channel|>final<|message|>Hi<|return|>"
    items = await items_of(script + "<|start|>assistant<|channel|>final<|message|>more")
    assert text_of(items) == "Hi"
    assert finished(items).num_completion_tokens == len(tokens_of(script))


async def test_an_answer_that_ends_by_itself_is_not_aborted() -> None:
    engine = ScriptedEngine(EngineConfig())
    request = GenerationRequest(
        request_id="a", prompt_token_ids=(1,), max_tokens=1000, stop_token_ids=STOP_TOKEN_IDS
    )
    items = [item async for item in Generation(engine, request, HarmonyParser()).items()]
    assert text_of(items) == "Hello."
    assert engine.endings.get_nowait() == "stop"


async def test_an_answer_without_an_end_never_looks_finished() -> None:
    request = GenerationRequest(
        request_id="a", prompt_token_ids=(1,), max_tokens=10, stop_token_ids=STOP_TOKEN_IDS
    )
    with pytest.raises(GenerationError, match="without a reason"):
        [item async for item in Generation(SilentEngine(EngineConfig()), request, HarmonyParser()).items()]


async def test_a_call_ends_with_tool_calls() -> None:
    call = "<|channel|>commentary to=functions.look<|message|>{}<|call|>"
    items = await items_of(call, tools=("look",))
    assert ToolCallStarted("look") in items
    assert finished(items).finish_reason == "tool_calls"


async def test_a_call_cut_by_the_limit_ends_with_length() -> None:
    call = '<|channel|>commentary to=functions.look<|message|>{"at": "the sky"}<|call|>'
    items = await items_of(call, tools=("look",), max_tokens=len(tokens_of(call)) - 3)
    assert ToolCallStarted("look") in items
    assert finished(items).finish_reason == "length"


async def test_a_stop_string_across_tokens_ends_the_text() -> None:
    items = await items_of("<|channel|>final<|message|>one two three four<|return|>", stop=("wo thr",))
    assert text_of(items) == "one t"
    assert finished(items).finish_reason == "stop"


async def test_what_was_held_back_is_given_when_nothing_follows() -> None:
    items = await items_of("<|channel|>final<|message|>one two<|return|>", stop=("two three",))
    assert text_of(items) == "one two"
    items = await items_of("<|channel|>final<|message|>one two", stop=("two three",))
    assert text_of(items) == "one two"
    assert finished(items).finish_reason == "length"


async def test_held_back_text_comes_before_the_thought_that_follows_it() -> None:
    preamble = "<|channel|>commentary<|message|>I look tw<|end|><|start|>assistant"
    thought = "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant"
    items = await items_of(preamble, thought, "<|channel|>final<|message|>ice<|return|>", stop=("twice",))
    texts = [item for item in items if isinstance(item, Content | ReasoningDelta)]
    whole = "".join(item.text for item in texts)
    assert whole == "I look twHm.\nice"  # the parser keeps two messages apart by a line break


THOUGHT = "<|channel|>analysis<|message|>Hm, yes.<|end|><|start|>assistant"
FINAL = "<|channel|>final<|message|>"


@pytest.mark.parametrize(
    ("script", "stop", "text"),
    [
        (THOUGHT + FINAL + "One two three.<|return|>", (), "One two three."),
        (
            FINAL + "\N{FAMILY}\N{SNOWMAN}\N{LATIN SMALL LETTER E WITH ACUTE} \N{YI SYLLABLE IT}<|return|>",
            (),
            None,
        ),
        (FINAL + "one two three<|return|>", (" two",), "one"),
        (FINAL + "one two three<|return|>", ("three four",), None),
        (FINAL + "one two three", ("three four",), None),
        ("no channel at all<|return|>", (), "no channel at all"),
        (THOUGHT + "no channel again<|return|>", (), "no channel again"),
        ("<|channel|>analysis<|message|>only a thought", (), ""),
        (
            "<|channel|>commentary<|message|>I look.<|end|><|start|>assistant" + FINAL + "Yes.",
            (),
            "I look.Yes.",
        ),
    ],
)
async def test_log_probabilities_are_those_of_the_content(
    script: str, stop: tuple[str, ...], text: str | None
) -> None:
    items = await items_of(script, stop=stop, num_logprobs=0)
    assert sampled_text(items) == (text_of(items) if text is None else text)


async def test_a_token_that_starts_before_a_stop_string_is_told_and_those_after_it_are_not() -> None:
    items = await items_of(FINAL + "one two three<|return|>", stop=("o three",), num_logprobs=0)
    assert text_of(items) == "one tw"
    assert sampled_text(items) == "one two"


async def test_an_engine_without_the_log_probabilities_asked_for_is_told_so() -> None:
    request = GenerationRequest(
        request_id="a",
        prompt_token_ids=(1,),
        max_tokens=10,
        stop_token_ids=STOP_TOKEN_IDS,
        num_logprobs=0,
    )
    with pytest.raises(GenerationError, match="log probability"):
        [item async for item in Generation(SilentEngine(EngineConfig()), request, HarmonyParser()).items()]


_BROWSE = "<|channel|>analysis to=browser.search code<|message|>news<|call|>"
_SAY = "<|channel|>final<|message|>I cannot look.<|return|>"


async def items_after(
    *scripts: str, max_tokens: int = 1000, context_length: int | None = None, **fields: Any
) -> tuple[list[Item], list[GenerationRequest]]:
    """Return the items of one answer, for which each script is played in turn, and what the engine was asked."""
    engine = ScriptedEngine(EngineConfig(context_length=context_length))
    for script in scripts:
        engine.enqueue(script)
    request = GenerationRequest(
        request_id="a",
        prompt_token_ids=(1, 2, 3),
        max_tokens=max_tokens,
        stop_token_ids=STOP_TOKEN_IDS,
        **fields,
    )
    items = [item async for item in Generation(engine, request, HarmonyParser()).items()]
    return items, engine.requests


async def test_a_model_that_calls_what_is_not_there_is_told_so_and_goes_on() -> None:
    items, asked = await items_after(_BROWSE, _SAY)
    assert [item for item in items if isinstance(item, ReasoningDelta)] == [ReasoningDelta("news")]
    assert text_of(items) == "I cannot look."
    assert items.count(Started()) == items.count(TurnEnded()) == 1
    assert finished(items).finish_reason == "stop"
    assert finished(items).num_completion_tokens == len(tokens_of(_BROWSE)) + len(tokens_of(_SAY))
    assert finished(items).num_prompt_tokens == 3
    told = decode(list(asked[1].prompt_token_ids[3:]))
    assert told == (
        f"{_BROWSE}<|start|>browser.search to=assistant<|channel|>analysis<|message|>"
        "Error: there is no tool browser.search. Go on without it.<|end|><|start|>assistant"
    )
    assert asked[1].max_tokens == 1000 - len(tokens_of(_BROWSE))


async def test_a_function_is_told_not_to_be_there_by_its_whole_name() -> None:
    call = "<|channel|>commentary to=functions.look <|constrain|>json<|message|>{}<|call|>"
    _, asked = await items_after(call, _SAY)
    assert "<|start|>functions.look to=assistant" in decode(list(asked[1].prompt_token_ids))


async def test_the_model_is_told_three_times_and_then_the_turn_is_over() -> None:
    items, asked = await items_after(_BROWSE, _BROWSE, _BROWSE, _BROWSE, _SAY)
    assert len(asked) == 4
    assert len({request.request_id for request in asked}) == 4
    assert text_of(items) == ""
    assert finished(items).finish_reason == "stop"


async def test_the_limit_is_that_of_the_whole_answer() -> None:
    items, asked = await items_after(_BROWSE, _SAY, max_tokens=len(tokens_of(_BROWSE)) + 4)
    assert text_of(items) == "I"
    assert finished(items).finish_reason == "length"
    assert finished(items).num_completion_tokens == len(tokens_of(_BROWSE)) + 4
    _, asked = await items_after(_BROWSE, _SAY, max_tokens=len(tokens_of(_BROWSE)))
    assert len(asked) == 1


async def test_what_the_model_is_told_may_fill_the_context() -> None:
    items, _ = await items_after(_BROWSE, _SAY, context_length=len(tokens_of(_BROWSE)) + 10)
    assert finished(items).finish_reason == "length"


async def test_a_turn_under_a_grammar_is_not_gone_on_with() -> None:
    items, asked = await items_after(_BROWSE, _SAY, grammar="{}")
    assert len(asked) == 1
    assert finished(items).finish_reason == "stop"
