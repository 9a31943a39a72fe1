"""Callers take turns where requests wait."""

from jupyter_mlx_gpt_oss.engine.request import GenerationRequest
from jupyter_mlx_gpt_oss.worker.scheduler import Scheduler
from jupyter_mlx_gpt_oss.worker.sequence import Sequence


def add(scheduler: Scheduler, caller: str, *names: str) -> None:
    for name in names:
        request = GenerationRequest(
            request_id=name, prompt_token_ids=(1,), max_tokens=5, stop_token_ids=(), caller=caller
        )
        scheduler.add(Sequence(request, max_tokens=5))


def finish_oldest(scheduler: Scheduler) -> None:
    oldest = next(iter(scheduler.running))
    scheduler.remove(oldest.request.request_id)


def order(scheduler: Scheduler) -> list[str]:
    """Return the requests in the order in which they start, one ending before the next starts."""
    started = []
    while scheduler.num_waiting:
        started += [sequence.request.request_id for sequence in scheduler.admit(lambda _: True)]
        finish_oldest(scheduler)
    return started


def test_one_with_many_requests_holds_up_nobody() -> None:
    scheduler = Scheduler(max_running=1)
    add(scheduler, "ann", *(f"a{index}" for index in range(50)))
    add(scheduler, "bob", "b0", "b1")
    add(scheduler, "cid", "c0")
    assert order(scheduler)[:6] == ["a0", "b0", "c0", "a1", "b1", "a2"]


def test_places_are_shared_out_evenly() -> None:
    scheduler = Scheduler(max_running=4)
    add(scheduler, "ann", *(f"a{index}" for index in range(9)))
    scheduler.admit(lambda _: True)
    add(scheduler, "bob", *(f"b{index}" for index in range(9)))
    for _ in range(4):
        finish_oldest(scheduler)
        scheduler.admit(lambda _: True)
    callers = sorted(sequence.request.caller for sequence in scheduler.running)
    assert callers == ["ann", "ann", "bob", "bob"]


def test_requests_of_one_caller_keep_their_order() -> None:
    scheduler = Scheduler(max_running=1)
    add(scheduler, "", "a", "b", "c")
    assert order(scheduler) == ["a", "b", "c"]


def test_a_caller_who_has_left_is_forgotten() -> None:
    scheduler = Scheduler(max_running=1)
    for number in range(5):
        add(scheduler, f"caller {number}", "r")
        scheduler.admit(lambda _: True)
        finish_oldest(scheduler)
    assert len(scheduler._last_turns) <= 2
