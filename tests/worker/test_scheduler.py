"""What a step is made of."""

from jupyter_mlx_gpt_oss.engine.request import GenerationRequest
from jupyter_mlx_gpt_oss.worker.scheduler import Scheduler
from jupyter_mlx_gpt_oss.worker.sequence import Sequence


def _sequence(name: str, num_prompt_tokens: int) -> Sequence:
    request = GenerationRequest(
        request_id=name, prompt_token_ids=(1,) * num_prompt_tokens, max_tokens=5, stop_token_ids=()
    )
    return Sequence(request, max_tokens=5)


def _step(scheduler: Scheduler) -> dict[str, int]:
    """Carry out a plan as the engine loop would, sampling token 7 everywhere."""
    plan = {}
    scheduler.admit()
    for chunk in scheduler.plan():
        plan[chunk.sequence.request.request_id] = chunk.num_tokens
        is_last = chunk.is_last
        chunk.sequence.num_computed += chunk.num_tokens
        if is_last:
            chunk.sequence.append(7)
    return plan


def test_a_long_prompt_is_computed_in_chunks_while_others_decode() -> None:
    scheduler = Scheduler(max_running=4, max_prefill_tokens=10)
    scheduler.add(_sequence("short", 3))
    assert _step(scheduler) == {"short": 3}
    scheduler.add(_sequence("long", 25))
    assert [_step(scheduler) for _ in range(4)] == [
        {"short": 1, "long": 10},
        {"short": 1, "long": 10},
        {"short": 1, "long": 5},
        {"short": 1, "long": 1},
    ]


def test_the_prefill_budget_is_shared_oldest_first() -> None:
    scheduler = Scheduler(max_running=4, max_prefill_tokens=10)
    for name, length in (("a", 6), ("b", 6), ("c", 6)):
        scheduler.add(_sequence(name, length))
    assert _step(scheduler) == {"a": 6, "b": 4}
    assert _step(scheduler) == {"a": 1, "b": 2, "c": 6}


def test_no_more_run_than_may_and_the_next_in_line_follows() -> None:
    scheduler = Scheduler(max_running=1, max_prefill_tokens=10)
    scheduler.add(_sequence("a", 2))
    scheduler.add(_sequence("b", 2))
    assert _step(scheduler) == {"a": 2}
    assert (scheduler.num_running, scheduler.num_waiting) == (1, 1)
    scheduler.remove("a")
    assert _step(scheduler) == {"b": 2}


def test_a_sequence_is_removed_from_the_queue_and_from_the_step() -> None:
    scheduler = Scheduler(max_running=1, max_prefill_tokens=10)
    scheduler.add(_sequence("a", 2))
    scheduler.add(_sequence("b", 2))
    scheduler.admit()
    assert scheduler.remove("b") is not None
    assert scheduler.remove("a") is not None
    assert scheduler.remove("a") is None
    assert scheduler.plan() == []
