"""What a step is made of."""

from collections.abc import Iterable

from jupyter_mlx_gpt_oss.engine.request import GenerationRequest
from jupyter_mlx_gpt_oss.worker.scheduler import Scheduler
from jupyter_mlx_gpt_oss.worker.sequence import Sequence


def _sequence(name: str, num_prompt_tokens: int, caller: str = "") -> Sequence:
    request = GenerationRequest(
        request_id=name,
        prompt_token_ids=(1,) * num_prompt_tokens,
        max_tokens=5,
        stop_token_ids=(),
        caller=caller,
    )
    return Sequence(request, max_tokens=5)


def _step(scheduler: Scheduler, max_prefill_tokens: int = 10) -> dict[str, int]:
    """Carry out a plan as the engine loop would, sampling token 7 everywhere."""
    scheduler.admit(lambda _: True)
    plan = {}
    for chunk in scheduler.plan(max_prefill_tokens):
        plan[chunk.sequence.request.request_id] = chunk.num_tokens
        is_last = chunk.is_last
        chunk.sequence.num_computed += chunk.num_tokens
        if is_last:
            chunk.sequence.append(7)
    return plan


def test_a_long_prompt_is_computed_in_chunks_while_others_decode() -> None:
    scheduler = Scheduler(max_running=4)
    scheduler.add(_sequence("short", 3))
    assert _step(scheduler) == {"short": 3}
    scheduler.add(_sequence("long", 25))
    assert [_step(scheduler) for _ in range(4)] == [
        {"short": 1, "long": 10},
        {"short": 1, "long": 10},
        {"short": 1, "long": 5},
        {"short": 1, "long": 1},
    ]


def test_a_short_prompt_passes_a_long_one_that_still_moves() -> None:
    scheduler = Scheduler(max_running=4)
    scheduler.add(_sequence("long", 100))
    scheduler.add(_sequence("short", 6))
    assert _step(scheduler, 8) == {"long": 2, "short": 6}
    assert _step(scheduler, 8) == {"long": 8, "short": 1}


def test_a_chunk_ends_where_a_replay_ends() -> None:
    scheduler = Scheduler(max_running=1)
    sequence = _sequence("a", 20)
    sequence.replay_end = 12
    scheduler.add(sequence)
    assert [_step(scheduler) for _ in range(3)] == [{"a": 10}, {"a": 2}, {"a": 8}]


def test_no_more_run_than_may_and_the_next_in_line_follows() -> None:
    scheduler = Scheduler(max_running=1)
    scheduler.add(_sequence("a", 2))
    scheduler.add(_sequence("b", 2))
    assert _step(scheduler) == {"a": 2}
    assert (scheduler.num_running, scheduler.num_waiting) == (1, 1)
    scheduler.remove("a")
    assert _step(scheduler) == {"b": 2}


def test_a_sequence_that_may_not_run_yet_lets_others_pass_and_keeps_its_place() -> None:
    scheduler = Scheduler(max_running=2)
    for name in ("a", "b", "c"):
        scheduler.add(_sequence(name, 2))
    admitted = scheduler.admit(lambda sequence: sequence.request.request_id != "a")
    assert [sequence.request.request_id for sequence in admitted] == ["b", "c"]
    assert [sequence.request.request_id for sequence in scheduler.waiting] == ["a"]


def test_a_sequence_is_removed_from_the_queue_and_from_the_step() -> None:
    scheduler = Scheduler(max_running=1)
    scheduler.add(_sequence("a", 2))
    scheduler.add(_sequence("b", 2))
    scheduler.admit(lambda _: True)
    assert scheduler.remove("b") is not None
    assert scheduler.remove("a") is not None
    assert scheduler.remove("a") is None
    assert scheduler.plan(10) == []


def test_a_resumed_answer_is_read_like_a_prompt_before_it_goes_on() -> None:
    request = GenerationRequest(
        request_id="a", prompt_token_ids=(1,) * 5, output_token_ids=(2,) * 8, max_tokens=10, stop_token_ids=()
    )
    scheduler = Scheduler(max_running=1)
    scheduler.add(Sequence(request, max_tokens=10))
    assert [_step(scheduler) for _ in range(3)] == [{"a": 10}, {"a": 3}, {"a": 1}]


def test_one_without_memory_is_passed_a_few_times_by_whoever_comes_later() -> None:
    scheduler = Scheduler(max_running=20)

    def fits(sequence: Sequence, running: Iterable[Sequence]) -> bool:
        return sequence.num_prompt_tokens < 100 or not [*running]

    scheduler.add(_sequence("running", 2, caller="a"))
    scheduler.admit(lambda _: True, fits)
    scheduler.add(_sequence("large", 100, caller="a"))
    for number in range(30):  # of callers who have nothing here, and so are always next
        scheduler.add(_sequence(f"small {number}", 2, caller=str(number)))
    scheduler.admit(lambda _: True, fits)
    assert scheduler.num_running == 9
    for sequence in scheduler.running:
        assert scheduler.admit(lambda _: True, fits) == []
        scheduler.remove(sequence.request.request_id)
    [large, *_] = scheduler.admit(lambda _: True, fits)
    assert large.request.request_id == "large"
