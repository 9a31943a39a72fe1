"""How long a refused request is told to wait, by what is open and how long that takes."""

from collections.abc import Iterable

import pytest

from jupyter_mlx_gpt_oss.engine.config import EngineConfig
from jupyter_mlx_gpt_oss.engine.open_requests import OpenRequests
from jupyter_mlx_gpt_oss.engine.request import GenerationRequest, TokenOutput
from jupyter_mlx_gpt_oss.engine.stream import Stream
from jupyter_mlx_gpt_oss.errors import EngineDeadError, QueueFullError


class Queue:
    """Four places in all, and a clock that stands still unless it is set."""

    def __init__(self, max_requests_per_user: int = 0) -> None:
        self.now = 100.0
        config = EngineConfig(
            max_running_requests=2, max_waiting_requests=2, max_requests_per_user=max_requests_per_user
        )
        self.requests = OpenRequests(config, lambda: self.now)
        self.num_opened = 0

    def open(self, caller: str = "") -> Stream:
        self.num_opened += 1
        return self.requests.open(
            GenerationRequest(
                request_id=str(self.num_opened),
                prompt_token_ids=(1,),
                max_tokens=1,
                stop_token_ids=(),
                caller=caller,
            )
        )

    def retry_after_seconds(self, caller: str = "") -> float | None:
        with pytest.raises(QueueFullError) as refused:
            self.open(caller)
        return refused.value.retry_after_seconds


def _send(streams: Iterable[Stream]) -> list[str]:
    for stream in streams:
        stream.is_sent = True
    return [stream.request.request_id for stream in streams]


def _emit(stream: Stream, count: int) -> None:
    stream.tell(TokenOutput(token_ids=(5,) * count))


def test_after_crashes_requests_are_sent_one_by_one_and_the_one_at_fault_is_found() -> None:
    queue = Queue()
    dead = EngineDeadError("It ended.")
    first, poison, last = (queue.open() for _ in range(3))
    for _ in range(2):  # who it was cannot be told of three that were sent together
        assert _send(queue.requests.due()) == ["1", "2", "3"]
        assert queue.requests.resume(dead)
    for _ in range(3):
        assert _send(queue.requests.due()) == ["1"]
        assert queue.requests.due() == ()
        _emit(first, 16)
        assert _send(queue.requests.due()) == ["2"]
        assert queue.requests.due() == ()
        assert queue.requests.resume(dead)
    assert [stream.is_finished for stream in (first, poison, last)] == [False, True, False]
    assert _send(queue.requests.due()) == ["1"]
    queue.requests.close(first)  # its client has gone
    assert _send(queue.requests.due()) == ["3"]
    _emit(last, 16)
    assert queue.requests.due() == ()
    assert not queue.requests.is_careful


def test_nobody_waits_for_ever_for_a_process_that_ends_before_it_is_sent_anything() -> None:
    queue = Queue()
    streams = [queue.open(), queue.open()]
    dead = EngineDeadError("It ended.")
    assert [queue.requests.resume(dead) for _ in range(3)] == [True, True, False]
    assert all(stream.is_finished for stream in streams)


def test_a_request_that_gets_on_each_time_is_never_given_up() -> None:
    queue = Queue()
    stream = queue.open()
    for _ in range(6):
        _send(queue.requests.due())
        _emit(stream, 16)
        assert queue.requests.resume(EngineDeadError("It ended."))
    assert not stream.is_finished


def test_a_place_is_free_when_one_of_those_that_are_open_ends() -> None:
    queue = Queue()
    for _ in range(30):  # the last ones took forty seconds each
        stream = queue.open()
        queue.now += 40
        queue.requests.close(stream)
    for _ in range(4):
        queue.open()
    assert queue.retry_after_seconds() == 10


def test_before_any_has_ended_the_oldest_says_how_long_they_take() -> None:
    queue = Queue()
    for _ in range(4):
        queue.open()
    assert queue.retry_after_seconds() == 1
    queue.now += 60
    assert queue.retry_after_seconds() == 15


def test_who_has_too_many_waits_for_one_of_their_own() -> None:
    queue = Queue(max_requests_per_user=1)
    queue.open("ann")
    queue.now += 30
    queue.open("bob")
    assert queue.retry_after_seconds("ann") == 30
