"""What comes out of the prefix cache is what a cold model computes."""

import random
from pathlib import Path
from typing import Any, cast

import mlx.core as mx
import pytest
from mlx_lm.generate import generate_step
from mlx_lm.utils import load_model

from jupyter_mlx_gpt_oss.engine.config import EngineConfig
from jupyter_mlx_gpt_oss.engine.frames import Abort, Precompute
from jupyter_mlx_gpt_oss.engine.sampling import SamplingParams
from jupyter_mlx_gpt_oss.errors import InvalidRequestError
from jupyter_mlx_gpt_oss.worker.kv_span import LayerKinds, end_replay, take_snapshot
from jupyter_mlx_gpt_oss.worker.memory import MemoryBudget
from jupyter_mlx_gpt_oss.worker.model_step import Row, forward, make_caches
from jupyter_mlx_gpt_oss.worker.prefix_cache import PrefixCache, Stretch
from tests.support.loop_caller import VOCABULARY, Caller

REPLAY_TOKENS = 254  # 127 for each of the two sliding layers
TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def model(tiny_checkpoint: Path) -> Any:
    model, _ = load_model(tiny_checkpoint)
    model.set_dtype(mx.float32)
    return model


@pytest.fixture
def kinds(model: Any) -> LayerKinds:
    return LayerKinds.of(model)


def _tokens(length: int, seed: int) -> list[int]:
    source = random.Random(seed)
    return [source.randrange(VOCABULARY) for _ in range(length)]


def _cold(model: Any, token_ids: list[int]) -> mx.array:
    logits: mx.array = model(mx.array([token_ids]))[0, -1]
    return logits


def _difference(a: mx.array, b: mx.array) -> float:
    difference: Any = mx.abs(a - b).max().item()
    return float(difference)


def _fill(
    cache: PrefixCache, model: Any, kinds: LayerKinds, token_ids: list[int], positions: list[int]
) -> None:
    """Compute a sequence from nothing and keep it, with snapshots at some positions."""
    caches = make_caches(model)
    snapshots, start = {}, 0
    for end in sorted({*positions, len(token_ids)}):
        mx.eval(forward(model, [Row(token_ids[start:end], caches)]))
        if end in positions:
            snapshot = take_snapshot(caches, kinds, end)
            assert snapshot is not None
            snapshots[end] = snapshot
        start = end
    cache.keep(token_ids, caches, snapshots, Stretch.PROMPT)


def _resumed(
    cache: PrefixCache, model: Any, kinds: LayerKinds, token_ids: list[int]
) -> tuple[int, int, mx.array]:
    """Return the tokens taken from the cache, the tokens replayed, and the logits behind the prompt."""
    resume = cache.resume(token_ids)
    caches = resume.caches
    if resume.num_replayed:
        replayed = token_ids[resume.num_tokens - resume.num_replayed : resume.num_tokens]
        for start in range(0, len(replayed), 100):
            mx.eval(forward(model, [Row(replayed[start : start + 100], caches)]))
        caches = end_replay(make_caches(model), caches, kinds, resume.num_tokens)
    hidden = forward(model, [Row(token_ids[resume.num_tokens :], caches)])
    return resume.num_tokens, resume.num_replayed, model.lm_head(hidden)[0]


@pytest.mark.parametrize("position", [5, 127, 128, 129, 256, 400])
def test_resuming_at_a_snapshot_is_exact(model: Any, kinds: LayerKinds, position: int) -> None:
    cache = PrefixCache(kinds, lambda: make_caches(model), 1 << 30)
    shared = _tokens(position, seed=1)
    _fill(cache, model, kinds, shared + _tokens(50, seed=2), [position])
    prompt = shared + _tokens(30, seed=3)
    cached, replayed, logits = _resumed(cache, model, kinds, prompt)
    assert (cached, replayed) == (position, 0)
    assert _difference(logits, _cold(model, prompt)) < TOLERANCE


def test_a_snapshot_stays_what_it_is_while_others_go_on_from_it(model: Any, kinds: LayerKinds) -> None:
    cache = PrefixCache(kinds, lambda: make_caches(model), 1 << 30)
    prompt = _tokens(200, seed=1)
    _fill(cache, model, kinds, prompt, [199])
    expected = _cold(model, prompt)
    for tail in range(3):
        resume = cache.resume(prompt)
        logits = model.lm_head(forward(model, [Row(prompt[199:], resume.caches)]))[0]
        assert _difference(logits, expected) < TOLERANCE
        mx.eval(forward(model, [Row([tail], resume.caches)]))


@pytest.mark.parametrize("shared", [300, 381, 500, 700])
def test_resuming_without_a_snapshot_replays_a_bounded_number_of_tokens_and_is_exact(
    model: Any, kinds: LayerKinds, shared: int
) -> None:
    cache = PrefixCache(kinds, lambda: make_caches(model), 1 << 30)
    start = _tokens(shared, seed=1)
    _fill(cache, model, kinds, start + _tokens(50, seed=2), [])
    prompt = start + _tokens(30, seed=3)
    cached, replayed, logits = _resumed(cache, model, kinds, prompt)
    assert (cached, replayed) == (shared, REPLAY_TOKENS)
    assert _difference(logits, _cold(model, prompt)) < TOLERANCE


def test_a_prompt_that_is_known_whole_still_computes_its_last_token(model: Any, kinds: LayerKinds) -> None:
    cache = PrefixCache(kinds, lambda: make_caches(model), 1 << 30)
    prompt = _tokens(300, seed=1)
    _fill(cache, model, kinds, prompt, [299, 300])
    cached, _, logits = _resumed(cache, model, kinds, prompt)
    assert cached == 299
    assert _difference(logits, _cold(model, prompt)) < TOLERANCE


def test_branches_share_what_they_have_in_common_and_splitting_loses_nothing(
    model: Any, kinds: LayerKinds
) -> None:
    cache = PrefixCache(kinds, lambda: make_caches(model), 1 << 30)
    shared, a, b = _tokens(200, seed=1), _tokens(100, seed=2), _tokens(100, seed=3)
    _fill(cache, model, kinds, shared + a, [200, 300])
    before = cache.num_bytes
    _fill(cache, model, kinds, shared + b, [200, 300])
    per_token = 2 * 2 * 2 * 64 * 4  # keys and values, 2 full layers, 2 heads of 64, float32
    snapshot = 2 * 2 * 2 * 64 * 4 * 128
    assert cache.num_bytes - before == 100 * per_token + snapshot
    for tail in (a, b):
        prompt = [*shared, *tail, 7]
        cached, _, logits = _resumed(cache, model, kinds, prompt)
        assert cached == 300
        assert _difference(logits, _cold(model, prompt)) < TOLERANCE


def test_the_bytes_are_bounded_and_what_was_used_last_stays(model: Any, kinds: LayerKinds) -> None:
    one = PrefixCache(kinds, lambda: make_caches(model), 1 << 30)
    _fill(one, model, kinds, _tokens(200, seed=0), [200])
    cache = PrefixCache(kinds, lambda: make_caches(model), 3 * one.num_bytes)
    for seed in range(8):
        _fill(cache, model, kinds, _tokens(200, seed=seed), [200])
        cache.resume([*_tokens(200, seed=0), 7])
        assert cache.num_bytes <= 3 * one.num_bytes
    assert cache.resume([*_tokens(200, seed=0), 7]).num_tokens == 200
    assert cache.resume([*_tokens(200, seed=7), 7]).num_tokens == 200
    assert cache.resume([*_tokens(200, seed=1), 7]).num_tokens == 0


def test_a_prompt_larger_than_the_cache_pushes_nobody_out(model: Any, kinds: LayerKinds) -> None:
    small = PrefixCache(kinds, lambda: make_caches(model), 1 << 30)
    _fill(small, model, kinds, _tokens(100, seed=0), [100])
    cache = PrefixCache(kinds, lambda: make_caches(model), 2 * small.num_bytes)
    _fill(cache, model, kinds, _tokens(100, seed=0), [100])
    _fill(cache, model, kinds, _tokens(900, seed=1), [900])
    assert cache.resume([*_tokens(100, seed=0), 7]).num_tokens == 100
    assert cache.resume([*_tokens(900, seed=1), 7]).num_tokens == 0


def test_a_prompt_that_fills_the_cache_is_kept_without_the_snapshots_that_do_not_fit(
    model: Any, kinds: LayerKinds
) -> None:
    prompt = _tokens(900, seed=0)
    bare = PrefixCache(kinds, lambda: make_caches(model), 1 << 30)
    _fill(bare, model, kinds, prompt, [])
    cache = PrefixCache(kinds, lambda: make_caches(model), bare.num_bytes + 1)
    _fill(cache, model, kinds, prompt, [600, 900])
    assert cache.num_bytes == bare.num_bytes
    assert cache.resume([*prompt, 7]).num_tokens == 900


def test_a_branch_of_a_prompt_that_fills_the_cache_is_kept_in_its_place(
    model: Any, kinds: LayerKinds
) -> None:
    first = _tokens(900, seed=0)
    cache = PrefixCache(kinds, lambda: make_caches(model), 1 << 30)
    _fill(cache, model, kinds, first, [])
    cache = PrefixCache(kinds, lambda: make_caches(model), int(1.1 * cache.num_bytes))
    _fill(cache, model, kinds, first, [])
    branch = [*first[:100], *_tokens(300, seed=1)]
    _fill(cache, model, kinds, branch, [])
    assert cache.resume([*branch, 7]).num_tokens == 400


def test_no_bytes_keep_nothing(model: Any, kinds: LayerKinds) -> None:
    cache = PrefixCache(kinds, lambda: make_caches(model), 0)
    _fill(cache, model, kinds, _tokens(50, seed=0), [50])
    assert cache.num_bytes == 0
    assert cache.resume(_tokens(60, seed=0)).num_tokens == 0


def test_a_conversation_computes_every_token_once(model: Any) -> None:
    caller = Caller(model, EngineConfig(prefix_cache_bytes=1 << 30))
    history = _tokens(150, seed=1)
    for turn in range(5):
        known = len(history)
        history += _tokens(20, seed=10 + turn)
        caller.add(f"t{turn}", history, 12)
        caller.run()
        if turn:
            assert (
                caller.cached[f"t{turn}"] == known - 1
            )  # the last token of an answer is sampled, not computed
        history += caller.tokens[f"t{turn}"]


def test_a_short_answer_that_its_conversation_did_not_go_on_from_holds_no_snapshot(model: Any) -> None:
    caller = Caller(model, EngineConfig(prefix_cache_bytes=1 << 30))
    prompt = _tokens(150, seed=1)
    caller.add("first", prompt, 40)
    caller.run()
    cache = caller.loop._caches.prefix_cache
    before = cache.num_snapshot_bytes
    caller.add(
        "again", prompt, 40, sampling=SamplingParams(temperature=1.0, seed=7)
    )  # either may be gone on from
    caller.run()
    after = cache.num_snapshot_bytes
    assert after > before
    caller.add("on", [*prompt, *caller.tokens["again"], *_tokens(9, seed=2)], 1)
    caller.run()
    [answer] = [node for node in cache._nodes() if node.is_answer and not node.children]
    assert not answer.snapshots
    assert cache.num_snapshot_bytes == sum(
        each.num_bytes for node in cache._nodes() for each in node.snapshots.values()
    )
    back = [*prompt, *caller.tokens["first"], *_tokens(9, seed=3)]
    caller.add("back", back, 4)
    caller.run()
    assert caller.cached["back"] >= len(prompt) - 1  # what is computed again is the short answer
    steps = generate_step(mx.array(back), model, max_tokens=4)
    assert caller.tokens["back"] == [int(token) for token, _ in steps]


def test_the_same_prompt_again_computes_one_token(model: Any) -> None:
    caller = Caller(model, EngineConfig(prefix_cache_bytes=1 << 30))
    prompt = _tokens(150, seed=1)
    for name in ("first", "again", "a third time"):
        caller.add(name, prompt, 30)
        caller.run()
    assert caller.cached == {"first": 0, "again": 149, "a third time": 149}
    # What is kept is not what a sequence writes into: a ring that shares its arrays would spoil the third.
    assert caller.tokens["again"] == caller.tokens["a third time"] == caller.tokens["first"]


def test_answers_to_one_prompt_share_one_prefill(model: Any) -> None:
    caller = Caller(model, EngineConfig(prefix_cache_bytes=1 << 30, max_prefill_tokens=50))
    prompt = _tokens(150, seed=1)
    for index in range(4):
        caller.add(f"n{index}", prompt, 5)
    caller.run()
    assert sorted(caller.cached.values()) == [0, 149, 149, 149]
    assert len({tuple(tokens) for tokens in caller.tokens.values()}) == 1


def test_a_short_prompt_waits_for_what_it_shares_with_a_long_one_and_no_longer(model: Any) -> None:
    caller = Caller(model, EngineConfig(prefix_cache_bytes=1 << 30, max_prefill_tokens=50))
    shared = _tokens(64, seed=1)
    short = [*shared, *_tokens(8, seed=3)]
    caller.add("long", [*shared, *_tokens(1500, seed=2)], 3)
    caller.loop.step()
    caller.add("short", short, 3)
    while "short" not in caller.cached:
        caller.loop.step()
    [running] = [each for each in caller.loop._scheduler.running if each.request.request_id == "long"]
    assert running.num_computed < 500
    assert caller.cached["short"] >= 48  # all that was worth waiting for
    caller.run()
    steps = generate_step(mx.array(short), model, max_tokens=3)
    assert caller.tokens["short"] == [int(token) for token, _ in steps]


def test_without_a_cache_nobody_waits_for_another(model: Any) -> None:
    caller = Caller(model, EngineConfig(prefix_cache_bytes=0, max_prefill_tokens=50))
    prompt = _tokens(150, seed=1)
    caller.add("first", prompt, 3)
    caller.add("second", prompt, 3)
    caller.loop.step()
    assert caller.loop._scheduler.num_running == 2


def test_a_prompt_read_ahead_is_there_when_it_is_asked_for(model: Any) -> None:
    caller = Caller(model, EngineConfig(prefix_cache_bytes=1 << 30, max_prefill_tokens=50))
    prompt = _tokens(150, seed=1)
    caller.loop.take(Precompute(tuple(prompt)))
    caller.run()
    caller.add("asked", [*prompt, 5], 3)
    caller.run()
    assert caller.cached["asked"] >= 149


def test_the_end_of_every_turn_can_be_gone_on_from_however_many_follow(model: Any) -> None:
    caller = Caller(model, EngineConfig(prefix_cache_bytes=1 << 30))
    history: list[int] = []
    ends = []
    for turn in range(8):
        prompt = [*history, *_tokens(40, seed=turn)]
        caller.add(f"t{turn}", prompt, 6, boundaries=(len(history), len(prompt) - 2))
        caller.run()
        history = [*prompt, *caller.tokens[f"t{turn}"][:-2]]
        ends.append(len(history))
        caller.loop.take(Precompute(tuple(history)))
        caller.run()
    for turn, end in enumerate(ends):
        edited = [*history[:end], *_tokens(30, seed=100 + turn)]
        caller.add(f"e{turn}", edited, 4)
        caller.run()
        assert caller.cached[f"e{turn}"] >= end
        steps = generate_step(mx.array(edited), model, max_tokens=4)
        assert caller.tokens[f"e{turn}"] == [int(token) for token, _ in steps]


def test_a_request_stops_what_is_read_ahead_and_it_goes_on_behind(model: Any) -> None:
    caller = Caller(model, EngineConfig(prefix_cache_bytes=1 << 30, max_prefill_tokens=8))
    caller.loop.take(Precompute(tuple(_tokens(150, seed=1))))
    caller.loop.step()
    caller.add("asked", _tokens(5, seed=2), 1)
    caller.loop.step()
    assert len(caller.tokens["asked"]) == 1
    caller.run()
    caller.add("next turn", [*_tokens(150, seed=1), 5], 1)
    caller.run()
    assert caller.cached["next turn"] >= 149


def test_what_is_to_be_read_ahead_waits_for_the_others_and_only_the_newest_are_kept(model: Any) -> None:
    caller = Caller(model, EngineConfig(prefix_cache_bytes=1 << 30))
    caller.add("running", _tokens(5, seed=50), 4)
    for number in range(12):
        caller.loop.take(Precompute(tuple(_tokens(60, seed=number))))
    caller.run()
    for number in (0, 11):
        caller.add(f"c{number}", [*_tokens(60, seed=number), 5], 1)
        caller.run()
    assert (caller.cached["c0"], caller.cached["c11"]) == (0, 60)


def test_a_step_that_fails_costs_only_the_sequence_at_fault(model: Any) -> None:
    caller = Caller(model, EngineConfig(prefix_cache_bytes=1 << 30))
    prompts = {name: _tokens(40, seed=seed) for seed, name in enumerate(("a", "b", "c"))}
    for name, prompt in prompts.items():
        caller.add(name, prompt, 8)
    caller.loop.step()
    caller.loop.step()
    [culprit] = [each for each in caller.loop._scheduler.running if each.request.request_id == "b"]
    culprit.caches = culprit.caches[:1]  # a fault inside the forward pass, behind the first layer
    culprit.token_ids[-1] = 0
    begin = caller.loop._caches.begin
    caller.loop._caches.begin = (  # type: ignore[method-assign]  # and one that a new beginning does not cure
        lambda sequence: None if sequence is culprit else begin(sequence)
    )
    caller.run()
    assert caller.failed == {"b": "generation_failed"}
    for name in ("a", "c"):
        steps = generate_step(mx.array(prompts[name]), model, max_tokens=8)
        assert caller.tokens[name] == [int(token) for token, _ in steps]
        assert caller.cached[name] == 0  # what it found again was its own


def test_a_fault_that_comes_back_only_where_it_was_costs_only_the_sequence_at_fault(model: Any) -> None:
    class Spent:
        """A grammar that cannot go on behind its fifth token."""

        num_taken = 0

        def accept(self, _: int) -> None:
            self.num_taken += 1

        def allowed(self) -> None:
            if self.num_taken >= 5:
                raise InvalidRequestError("too complex")

    caller = Caller(model, EngineConfig(prefix_cache_bytes=1 << 30))
    prompts = {name: _tokens(40, seed=seed) for seed, name in enumerate(("a", "b"))}
    for name, prompt in prompts.items():
        caller.add(name, prompt, 30)
    caller.loop.step()
    [culprit] = [each for each in caller.loop._scheduler.running if each.request.request_id == "b"]
    culprit.constraint = cast("Any", Spent())
    for _ in range(100):
        if not caller.loop.is_idle:
            caller.loop.step()
    assert caller.failed == {"b": InvalidRequestError.code}
    assert len(caller.tokens["b"]) == 5
    steps = generate_step(mx.array(prompts["a"]), model, max_tokens=30)
    assert caller.tokens["a"] == [int(token) for token, _ in steps]


@pytest.mark.parametrize("prefix_cache_bytes", [0, 100_000])
def test_what_cannot_be_kept_is_not_read_ahead(model: Any, prefix_cache_bytes: int) -> None:
    caller = Caller(model, EngineConfig(prefix_cache_bytes=prefix_cache_bytes))
    caller.loop.take(Precompute(tuple(_tokens(150, seed=1))))
    assert caller.loop.is_idle


def test_what_is_read_ahead_gets_on_however_often_requests_come(
    model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    caller = Caller(model, EngineConfig(prefix_cache_bytes=1 << 30, max_prefill_tokens=8))
    caller.loop.take(Precompute(tuple(_tokens(150, seed=1))))
    monkeypatch.setattr(caller.loop._pace, "ahead_tokens", lambda: 8)
    for number in range(20):
        caller.loop.step()
        caller.add(f"r{number}", _tokens(5, seed=100 + number), 1)
        while caller.loop._has_sequences:
            caller.loop.step()
    assert caller.loop.is_idle
    caller.add("next turn", [*_tokens(150, seed=1), 5], 1)
    caller.run()
    assert caller.cached["next turn"] >= 149


def test_a_prompt_that_does_not_fit_into_memory_is_refused_with_both_numbers(model: Any) -> None:
    caller = Caller(model, EngineConfig())
    caller.loop._memory = MemoryBudget(prefix_cache_bytes=0, running_bytes=100_000, bytes_per_token=2048)
    caller.add("large", _tokens(60, seed=1), 3)
    assert caller.failed == {"large": "out_of_memory"}
    caller.add("small", _tokens(40, seed=1), 3)
    caller.run()
    assert len(caller.tokens["small"]) == 3


def test_fuzzed_schedules_with_branches_aborts_and_evictions_give_the_tokens_of_a_cold_model(
    model: Any,
) -> None:
    source = random.Random(5)
    config = EngineConfig(prefix_cache_bytes=6_000_000, max_running_requests=3, max_prefill_tokens=64)
    caller = Caller(model, config)
    prompts: dict[str, list[int]] = {}
    roots = [_tokens(length, seed=length) for length in (40, 127, 300)]
    for number in range(24):
        base = source.choice([*roots, *prompts.values()])
        prompt = base[: source.randrange(1, len(base) + 1)] + _tokens(source.randrange(1, 80), seed=number)
        name = f"r{number}"
        prompts[name] = prompt
        caller.add(name, prompt, 8, boundaries=(min(40, len(prompt)), len(prompt) // 2))
        for _ in range(source.randrange(6)):
            if not caller.loop.is_idle:
                caller.loop.step()
        if source.random() < 0.2:
            caller.loop.take(Abort(name))
    caller.run()
    assert sum(caller.cached.values()) > 500
    assert caller.failed == {}
    for name, tokens in caller.tokens.items():
        steps = generate_step(mx.array(prompts[name]), model, max_tokens=len(tokens))
        assert tokens == [int(token) for token, _ in steps]
