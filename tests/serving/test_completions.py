"""Raw completions: text and token ids in, the same out; streams add up to the whole."""

import itertools
import json
import threading
from typing import Any

import pytest

from jupyter_mlx_gpt_oss.engine.config import EngineConfig
from jupyter_mlx_gpt_oss.errors import ContextLengthError, GenerationError, InvalidRequestError
from jupyter_mlx_gpt_oss.harmony.encoding import encode
from jupyter_mlx_gpt_oss.protocol.completion_answers import Completion, CompletionChoice
from jupyter_mlx_gpt_oss.serving import completion_chunks
from jupyter_mlx_gpt_oss.serving.completion_fold import CompletionFold
from jupyter_mlx_gpt_oss.serving.completions import Completions
from jupyter_mlx_gpt_oss.serving.metrics import Metrics
from jupyter_mlx_gpt_oss.serving.raw_generation import RawText
from jupyter_mlx_gpt_oss.vocabulary import SPECIAL_TOKENS
from tests.support.scripted_engine import ScriptedEngine, tokens_of

RETURN = SPECIAL_TOKENS["<|return|>"]
SCRIPT = "<|channel|>final<|message|>Hello, 😀 friend.<|return|>"


@pytest.fixture
def engine() -> ScriptedEngine:
    return ScriptedEngine(EngineConfig())


@pytest.fixture
def completions(engine: ScriptedEngine) -> Completions:
    numbers = itertools.count(1)
    return Completions(
        engine=engine,
        metrics=Metrics(engine.status),
        model_name="demo",
        new_id=lambda prefix: f"{prefix}{next(numbers)}",
        version="1",
        clock=lambda: 1_700_000_000.5,
        owner="ada",
        is_shared=True,
    )


async def chunks_of(completions: Completions, **fields: Any) -> list[Completion]:
    request = await completions.read(json.dumps({"max_tokens": 100, **fields}).encode())
    return [item async for item in completions.stream(request) if isinstance(item, Completion)]


async def whole_of(completions: Completions, **fields: Any) -> Completion:
    request = await completions.read(json.dumps({"max_tokens": 100, **fields}).encode())
    last = [item async for item in completions.complete(request)][-1]
    assert isinstance(last, Completion)
    return last


async def choice_of(completions: Completions, **fields: Any) -> CompletionChoice:
    (choice,) = (await whole_of(completions, **fields)).choices
    return choice


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"return_token_ids": True, "echo": True},
        {"logprobs": 2, "skip_special_tokens": False},
        {"logprobs": 0, "return_tokens_as_token_ids": True, "return_token_ids": True},
        {"stop": ["friend", "x"]},
        {"n": 2, "prompt": ["a", "b"], "return_token_ids": True},
    ],
)
async def test_the_whole_answer_is_the_fold_of_the_stream(
    engine: ScriptedEngine, completions: Completions, fields: dict[str, Any]
) -> None:
    for _ in range(8):
        engine.enqueue(SCRIPT)
    fields = {"prompt": "Say hello", **fields}
    fold = CompletionFold()
    for chunk in await chunks_of(completions, stream_options={"include_usage": True}, **fields):
        fold.add(Completion.model_validate_json(chunk.to_json()))
    folded, whole = fold.whole(), await whole_of(completions, **fields)
    assert folded.model_copy(update={"id": ""}) == whole.model_copy(update={"id": ""})


async def test_text_stays_text_and_ids_stay_ids(engine: ScriptedEngine, completions: Completions) -> None:
    await whole_of(completions, prompt="<|start|>user")
    await whole_of(completions, prompt=[SPECIAL_TOKENS["<|start|>"], 5])
    first, second = engine.requests
    assert not set(first.prompt_token_ids) & set(SPECIAL_TOKENS.values())
    assert second.prompt_token_ids == (SPECIAL_TOKENS["<|start|>"], 5)


@pytest.mark.parametrize("prompt", [None, ""])
async def test_an_empty_prompt_begins_a_document(
    engine: ScriptedEngine, completions: Completions, prompt: str | None
) -> None:
    choice = await choice_of(completions, prompt=prompt, echo=True)
    assert engine.requests[0].prompt_token_ids == (SPECIAL_TOKENS["<|endoftext|>"],)
    assert choice.text == "finalHello."


async def test_control_tokens_are_left_out_of_the_text_or_written_out(
    engine: ScriptedEngine, completions: Completions
) -> None:
    engine.enqueue(SCRIPT)
    engine.enqueue(SCRIPT)
    assert (await choice_of(completions, prompt="a")).text == "finalHello, 😀 friend."
    shown = await choice_of(completions, prompt="a", skip_special_tokens=False)
    assert shown.text == "<|channel|>final<|message|>Hello, 😀 friend."


async def test_token_ids_come_with_the_text_and_the_prompts_only_at_the_start(
    engine: ScriptedEngine, completions: Completions
) -> None:
    engine.enqueue(SCRIPT)
    chunks = await chunks_of(completions, prompt=[7, 8], return_token_ids=True)
    choices = [chunk.choices[0] for chunk in chunks]
    assert choices[0].prompt_token_ids == [7, 8]
    assert all(choice.prompt_token_ids is None for choice in choices[1:])
    token_ids = [token_id for choice in choices for token_id in choice.token_ids or ()]
    assert token_ids == tokens_of(SCRIPT)
    assert [choice.finish_reason for choice in choices[-2:]] == [None, "stop"]


async def test_without_token_ids_no_chunk_is_empty(engine: ScriptedEngine, completions: Completions) -> None:
    engine.enqueue("<|channel|><|message|>Hi<|return|>")
    chunks = await chunks_of(completions, prompt="a")
    assert [chunk.choices[0].text for chunk in chunks] == ["", "Hi", ""]
    assert "token_ids" not in chunks[0].to_json()


async def test_a_stop_string_ends_the_text_and_is_told(
    engine: ScriptedEngine, completions: Completions
) -> None:
    engine.enqueue(SCRIPT)
    choice = await choice_of(completions, prompt="a", stop=["friend"], return_token_ids=True)
    assert choice.text == "finalHello, 😀 "
    assert (choice.finish_reason, choice.stop_reason) == ("stop", "friend")
    assert choice.token_ids == tokens_of("<|channel|>final<|message|>Hello, 😀 friend")
    assert await engine.endings.get() == "closed"


async def test_a_stop_token_of_the_requests_is_told_and_its_text_left_out(
    engine: ScriptedEngine, completions: Completions
) -> None:
    (bang,) = encode("!")
    engine.enqueue("Hello!")
    choice = await choice_of(completions, prompt="a", stop_token_ids=[bang], return_token_ids=True)
    assert (choice.text, choice.finish_reason, choice.stop_reason) == ("Hello", "stop", bang)
    assert choice.token_ids == tokens_of("Hello!")


async def test_the_models_own_end_has_no_stop_reason(
    engine: ScriptedEngine, completions: Completions
) -> None:
    engine.enqueue("Hi<|return|>")
    choice = await choice_of(completions, prompt="a")
    assert (choice.finish_reason, choice.stop_reason) == ("stop", None)


async def test_ignore_eos_leaves_the_requests_stop_tokens_alone(
    engine: ScriptedEngine, completions: Completions
) -> None:
    engine.enqueue("Hi<|return|> there")
    choice = await choice_of(completions, prompt="a", ignore_eos=True, stop_token_ids=[5])
    assert engine.requests[0].stop_token_ids == (5,)
    assert (choice.text, choice.finish_reason) == ("Hi there", "length")


async def test_half_a_character_at_the_limit_is_not_lost(
    engine: ScriptedEngine, completions: Completions
) -> None:
    token_ids = tokens_of("ab 🫠")
    assert len(token_ids) > 2
    engine.enqueue("ab 🫠")
    choice = await choice_of(completions, prompt="a", max_tokens=len(token_ids) - 1)
    assert (choice.text, choice.finish_reason) == ("ab \ufffd", "length")


async def test_logprobs_have_an_entry_for_each_token(
    engine: ScriptedEngine, completions: Completions
) -> None:
    engine.enqueue("Hi there<|return|>")
    choice = await choice_of(completions, prompt="a", logprobs=1)
    assert choice.logprobs is not None
    assert choice.logprobs.tokens == ["Hi", " there", "<|return|>"]
    assert choice.logprobs.token_logprobs == [-0.5, -0.5, -0.5]
    assert [list(top.values()) for top in choice.logprobs.top_logprobs] == [[-0.5]] * 3
    assert choice.logprobs.text_offset == [0, 2, 8]
    engine.enqueue("Hi<|return|>")
    named = await choice_of(completions, prompt="a", logprobs=1, return_tokens_as_token_ids=True)
    assert named.logprobs is not None
    assert named.logprobs.tokens == [f"token_id:{token_id}" for token_id in tokens_of("Hi<|return|>")]


async def test_several_prompts_have_n_answers_each_and_count_once(
    engine: ScriptedEngine, completions: Completions
) -> None:
    for index in range(4):
        engine.enqueue(f"{index}<|return|>")
    answer = await whole_of(completions, prompt=[[1, 2], [3]], n=2, seed=10)
    assert [(choice.index, choice.text) for choice in answer.choices] == [
        (0, "0"),
        (1, "1"),
        (2, "2"),
        (3, "3"),
    ]
    assert [request.sampling.seed for request in engine.requests] == [10, 11, 10, 11]
    assert len({request.request_id for request in engine.requests}) == 4
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (3, 8)


async def test_a_conversation_in_token_ids_keeps_its_boundaries(
    engine: ScriptedEngine, completions: Completions
) -> None:
    await whole_of(completions, prompt=tokens_of("<|start|>user<|message|>Hi<|end|><|start|>assistant"))
    assert engine.requests[0].boundaries == (5,)


async def test_a_prompt_that_does_not_fit_names_the_prompt(
    engine: ScriptedEngine, completions: Completions
) -> None:
    engine.enqueue(ContextLengthError(9, 8))
    with pytest.raises(ContextLengthError) as caught:
        await whole_of(completions, prompt="a")
    assert caught.value.param == "prompt"


async def test_a_grammar_that_fails_names_the_field(engine: ScriptedEngine, completions: Completions) -> None:
    engine.enqueue(InvalidRequestError("The grammar cannot be compiled: no."))
    with pytest.raises(InvalidRequestError) as caught:
        await whole_of(completions, prompt="a", structured_outputs={"regex": "("})
    assert caught.value.param == "structured_outputs"
    assert engine.requests[0].grammar is not None


async def test_an_answer_without_an_end_is_no_answer(
    engine: ScriptedEngine, completions: Completions
) -> None:
    engine.enqueue("Hi", GenerationError("It broke."))
    with pytest.raises(GenerationError):
        await whole_of(completions, prompt="a")
    with pytest.raises(GenerationError, match="before it was complete"):
        CompletionFold().whole()


async def test_a_prompt_that_is_echoed_is_decoded_outside_of_the_loop(
    engine: ScriptedEngine, completions: Completions, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = []

    class NotedText(RawText):
        def __init__(self, *, shows_control_tokens: bool) -> None:
            threads.append(threading.current_thread())
            super().__init__(shows_control_tokens=shows_control_tokens)

    monkeypatch.setattr(completion_chunks, "RawText", NotedText)
    engine.enqueue(" there<|return|>")
    assert (await choice_of(completions, prompt="Hello", echo=True)).text == "Hello there"
    assert len(threads) == 1
    assert threading.main_thread() not in threads
