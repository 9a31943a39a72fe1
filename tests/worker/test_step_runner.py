"""The step behind the one that is handed out is begun before, and nobody can tell from the tokens."""

from pathlib import Path
from typing import Any

import mlx.core as mx
import pytest
from mlx_lm.generate import generate_step
from mlx_lm.utils import load_model

from jupyter_mlx_gpt_oss.engine.config import EngineConfig
from jupyter_mlx_gpt_oss.engine.frames import Abort
from jupyter_mlx_gpt_oss.engine.request import GenerationRequest
from jupyter_mlx_gpt_oss.engine.sampling import SamplingParams
from tests.support.loop_caller import GREEDY, VOCABULARY, Caller

CONFIG = EngineConfig(prefix_cache_bytes=1 << 30, prompt_lookup_tokens=0)
PROMPT = [
    index * 7 % VOCABULARY for index in range(140)
]  # rings have gone round: what was overwritten is gone


@pytest.fixture(scope="module")
def model(tiny_checkpoint: Path) -> Any:
    model, _ = load_model(tiny_checkpoint)
    model.set_dtype(mx.float32)
    return model


@pytest.fixture
def caller(model: Any) -> Caller:
    return Caller(model, CONFIG)


def _cold(model: Any, prompt: list[int], num_tokens: int) -> list[int]:
    return [int(token) for token, _ in generate_step(mx.array(prompt), model, max_tokens=num_tokens)]


def _is_in_flight(caller: Caller) -> bool:
    return caller.loop._runner.is_in_flight


def _fly(caller: Caller) -> None:
    """Read all prompts."""
    while not _is_in_flight(caller):
        caller.loop.step()


def _request(stop: tuple[int, ...] = (), **fields: Any) -> GenerationRequest:
    return GenerationRequest(
        request_id="a",
        prompt_token_ids=tuple(PROMPT),
        max_tokens=30,
        stop_token_ids=stop,
        **{"sampling": GREEDY, **fields},
    )


def test_a_step_of_free_sequences_leaves_the_next_in_flight(caller: Caller) -> None:
    caller.add("a", PROMPT, 30)
    while not caller.tokens.get("a"):
        caller.loop.step()
        assert not _is_in_flight(caller)  # a prompt was read
    caller.loop.step()
    assert _is_in_flight(caller)
    caller.run()
    assert not _is_in_flight(caller)


@pytest.mark.parametrize(
    "fields",
    [
        {"num_logprobs": 1},
        {"sampling": SamplingParams(temperature=0.0, presence_penalty=0.5)},
        {"sampling": SamplingParams(temperature=0.0, repetition_penalty=1.1)},
    ],
)
def test_what_must_see_its_tokens_first_is_never_in_flight(caller: Caller, fields: dict[str, Any]) -> None:
    caller.send(_request(**fields))
    while not caller.loop.is_idle:
        caller.loop.step()
        assert not _is_in_flight(caller)


def test_an_answer_that_stops_while_a_step_is_in_flight_is_gone_on_from_exactly(
    model: Any, caller: Caller
) -> None:
    expected = _cold(model, PROMPT, 30)
    stop = expected[9]
    end = expected.index(stop) + 1
    caller.send(_request(stop=(stop,)))
    caller.run()
    assert caller.tokens["a"] == expected[:end]
    # The stop token went into the caches with the step in flight; what is kept ends before it.
    following = [*PROMPT, *expected[: end - 1], 3, 4, 5]
    caller.add("b", following, 12)
    caller.run()
    assert caller.cached["b"] == len(PROMPT) + end - 1
    assert caller.tokens["b"] == _cold(model, following, 12)


def test_one_that_joins_and_one_that_is_aborted_change_nothing_for_the_others(
    model: Any, caller: Caller
) -> None:
    other = PROMPT[::-1]
    caller.add("a", PROMPT, 30)
    caller.add("gone", PROMPT[5:], 30)
    _fly(caller)
    caller.loop.take(Abort("gone"))
    caller.loop.step()
    assert _is_in_flight(caller)
    caller.add("b", other, 30)
    caller.loop.step()
    assert not _is_in_flight(caller)
    caller.run()
    assert caller.tokens["a"] == _cold(model, PROMPT, 30)
    assert caller.tokens["b"] == _cold(model, other, 30)


def test_a_fault_while_a_step_is_in_flight_costs_nobody_a_token(model: Any, caller: Caller) -> None:
    for name, prompt in (("a", PROMPT), ("b", PROMPT[::-1])):
        caller.add(name, prompt, 30)
    _fly(caller)
    spoilt = next(iter(caller.loop._scheduler.running))
    spoilt.caches = spoilt.caches[:1]  # the step behind the one in flight fails behind the first layer
    caller.run()
    assert caller.failed == {}
    assert caller.tokens["a"] == _cold(model, PROMPT, 30)
    assert caller.tokens["b"] == _cold(model, PROMPT[::-1], 30)


def test_what_cannot_be_restored_costs_its_own_request_alone(model: Any, caller: Caller) -> None:
    caller.add("known", PROMPT, 1)
    caller.run()
    [node] = caller.loop._caches.prefix_cache._root.children.values()
    node.snapshots.update(dict.fromkeys(node.snapshots, "spoilt"))  # type: ignore[arg-type]  # no snapshot at all
    caller.add("a", [*PROMPT, 5], 3)
    caller.add("b", PROMPT[::-1], 3)
    caller.run()
    assert caller.failed == {"a": "generation_failed"}
    assert caller.tokens["b"] == _cold(model, PROMPT[::-1], 3)
