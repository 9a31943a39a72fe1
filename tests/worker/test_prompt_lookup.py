"""Guessing from what was said before changes how fast tokens come, never which."""

import gc
import random
from pathlib import Path
from typing import Any

import mlx.core as mx
import pytest
from mlx_lm.utils import load_model

from jupyter_mlx_gpt_oss.engine.config import EngineConfig
from jupyter_mlx_gpt_oss.engine.frames import Report
from jupyter_mlx_gpt_oss.engine.request import GenerationRequest
from jupyter_mlx_gpt_oss.engine.sampling import SamplingParams
from jupyter_mlx_gpt_oss.worker.prompt_lookup import PromptLookup
from jupyter_mlx_gpt_oss.worker.sequence import Sequence
from tests.support.loop_caller import Caller

# A vocabulary of four tokens: whatever is sampled was said before.
NARROW = dict.fromkeys(range(4, 1024), -100.0)


@pytest.fixture(scope="module")
def model(tiny_checkpoint: Path) -> Any:
    model, _ = load_model(tiny_checkpoint)
    model.set_dtype(mx.float32)
    return model


def _never_pause(num_tokens: int, seconds: float) -> None:
    del num_tokens, seconds


def _sequence(token_ids: list[int], max_tokens: int = 100, name: str = "a") -> Sequence:
    request = GenerationRequest(
        request_id=name, prompt_token_ids=tuple(token_ids), max_tokens=max_tokens, stop_token_ids=()
    )
    return Sequence(request, max_tokens=max_tokens)


def test_what_followed_the_last_tokens_before_is_guessed() -> None:
    lookup = PromptLookup(3)
    assert lookup.draft(_sequence([1, 2, 3, 4, 5, 6, 7, 1, 2, 3])) == [4, 5, 6]
    assert lookup.draft(_sequence([1, 2, 3, 9, 1, 2, 3, 4, 5, 6, 1, 2, 3], name="b")) == [4, 5, 6]
    assert lookup.draft(_sequence([1, 2, 3, 4, 5], name="c")) == []


def test_no_more_is_guessed_than_may_still_be_said() -> None:
    assert PromptLookup(3).draft(_sequence([1, 2, 3, 4, 5, 6, 1, 2, 3], max_tokens=3)) == [4, 5]


def test_guessing_stops_for_a_while_where_it_does_not_pay() -> None:
    lookup, sequence = PromptLookup(3), _sequence([1, 2, 3, 4, 5, 6, 1, 2, 3])
    lookup.note_plain(0.1)
    for _ in range(20):
        lookup.note_draft(num_tokens=1, seconds=0.3)
    assert lookup.draft(sequence) == []
    assert any(lookup.draft(sequence) for _ in range(100))


def test_guessing_goes_on_where_it_pays() -> None:
    lookup, sequence = PromptLookup(3), _sequence([1, 2, 3, 4, 5, 6, 1, 2, 3])
    lookup.note_plain(0.1)
    for _ in range(20):
        lookup.note_draft(num_tokens=3, seconds=0.15)
    assert lookup.draft(sequence)


@pytest.mark.parametrize("prompt_length", [20, 127, 300])
@pytest.mark.parametrize(
    "sampling",
    [
        SamplingParams(temperature=0.0, logit_bias=NARROW),
        SamplingParams(seed=5, logit_bias=NARROW),
        SamplingParams(seed=5, logit_bias=NARROW, frequency_penalty=0.5, repetition_penalty=1.2),
    ],
)
def test_the_tokens_are_those_without_guessing(
    model: Any, prompt_length: int, sampling: SamplingParams
) -> None:
    source = random.Random(3)
    prompt = [source.randrange(4) for _ in range(prompt_length)]
    answers, steps = [], []
    for guesses in (0, 5):
        caller = Caller(model, EngineConfig(prefix_cache_bytes=1 << 30, prompt_lookup_tokens=guesses))
        caller.loop._prompt_lookup.note_draft = _never_pause  # type: ignore[method-assign]
        caller.add("a", prompt, 110, sampling=sampling)
        num_steps = 0
        while not caller.loop.is_idle:
            caller.loop.step()
            num_steps += 1
        caller.add("b", [*prompt, *caller.tokens["a"], 1, 2], 20, sampling=sampling)
        caller.run()
        answers.append((caller.tokens["a"], caller.tokens["b"], caller.cached["b"]))
        steps.append(num_steps)
    assert answers[0] == answers[1]
    assert steps[1] < steps[0]


def test_nothing_of_a_request_lives_on_after_its_end(model: Any) -> None:
    gc.collect()  # what other tests have left
    caller = Caller(model, EngineConfig(prefix_cache_bytes=1 << 30, prompt_lookup_tokens=5))
    caller.add("a", [1, 2, 3] * 20, 50, sampling=SamplingParams(temperature=0.0, logit_bias=NARROW))
    caller.run()
    assert not [each for each in gc.get_objects() if isinstance(each, Sequence)]


def test_a_server_that_is_gone_fails_no_request(
    tiny_checkpoint: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its socket breaks while a draft's tokens are reported, which is done within a request's guard."""
    model, _ = load_model(tiny_checkpoint)
    model.set_dtype(mx.float32)
    caller = Caller(model, EngineConfig(prompt_lookup_tokens=8))
    caller.add("a", [5, 6, 7, 8] * 20, max_tokens=60)

    def gone(_: Report) -> None:
        raise BrokenPipeError

    loop: Any = caller.loop
    step_with_draft = loop._step_with_draft

    def last(*arguments: Any) -> None:
        loop._post = gone
        step_with_draft(*arguments)

    loop._step_with_draft = last
    with pytest.raises(BrokenPipeError):
        caller.run()
    assert "failed" not in caplog.text
