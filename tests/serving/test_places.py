"""Streams of one request that find the queue full."""

import asyncio
from collections.abc import AsyncGenerator, Callable

import pytest

from jupyter_mlx_gpt_oss.errors import QueueFullError
from jupyter_mlx_gpt_oss.serving.interleave import interleave
from jupyter_mlx_gpt_oss.serving.places import in_places

Stream = Callable[[], AsyncGenerator[str, None]]


class Places:
    """As many as there are; a stream that finds none fails."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.num_refused = 0

    def of(self, *steps: str | asyncio.Event) -> Stream:
        """A stream of items, which waits at an event."""

        async def items() -> AsyncGenerator[str, None]:
            if self.number < 1:
                self.num_refused += 1
                raise QueueFullError("Full.")
            self.number -= 1
            try:
                for step in steps:
                    await asyncio.sleep(0)
                    if isinstance(step, asyncio.Event):
                        await step.wait()
                    else:
                        yield step
            finally:
                self.number += 1

        return items


async def all_of(streams: list[Stream], max_open: int | None = None) -> list[tuple[int, str]]:
    return [item async for item in interleave(in_places(streams), max_open)]


async def test_a_stream_that_finds_the_queue_full_begins_when_another_has_ended() -> None:
    places = Places(2)
    seen = await all_of([places.of(f"{number}a", f"{number}b") for number in range(6)])
    assert sorted(seen) == [(number, f"{number}{half}") for number in range(6) for half in "ab"]
    assert places.num_refused <= 4 + 4  # once at the start, and once for each that has a place then
    assert places.number == 2


async def test_places_that_become_free_are_taken() -> None:
    places, gate = Places(1), asyncio.Event()
    streams = in_places([places.of("a", gate), *(places.of(name, gate) for name in "bcd")])
    seen = []
    async for _, item in interleave(streams):
        seen.append(item)
        if item == "a":
            places.number += 3  # others' requests have ended
            asyncio.get_running_loop().call_later(0.05, gate.set)
    assert sorted(seen) == ["a", "b", "c", "d"]


async def test_a_place_that_somebody_else_takes_costs_no_answer_while_others_are_open() -> None:
    places, gate = Places(2), asyncio.Event()
    streams = in_places([places.of("a"), places.of("b", gate, "c"), places.of("d")])
    seen = []
    async for index, item in interleave(streams, max_open=2):
        seen.append((index, item))
        if item == "b":
            places.number -= 1  # the one that the first will give back
            asyncio.get_running_loop().call_later(0.05, gate.set)
    assert seen == [(0, "a"), (1, "b"), (1, "c"), (2, "d")]
    assert places.num_refused <= 2


async def test_a_place_that_is_gone_when_all_others_have_ended_is_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("jupyter_mlx_gpt_oss.serving.places._WAIT_SECONDS", 0.01)
    places = Places(1)
    seen = []
    async for index, item in interleave(in_places([places.of("a"), places.of("b")])):
        seen.append((index, item))
        if item == "a":
            places.number -= 1  # the one that it will give back
            asyncio.get_running_loop().call_later(0.05, setattr, places, "number", 1)
    assert seen == [(0, "a"), (1, "b")]


async def test_a_place_that_never_comes_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jupyter_mlx_gpt_oss.serving.places._WAIT_SECONDS", 0)
    places = Places(1)

    def leaving() -> AsyncGenerator[str, None]:
        places.number -= 1
        return Places(1).of("a")()

    with pytest.raises(QueueFullError):
        await all_of([leaving, places.of("b")])


async def test_a_queue_that_is_full_from_the_start_is_a_failure() -> None:
    with pytest.raises(QueueFullError):
        await asyncio.wait_for(all_of([Places(0).of("a")] * 3), 5)


async def test_another_failure_is_one_at_once() -> None:
    async def broken() -> AsyncGenerator[str, None]:
        for text in ("No.",):
            raise ValueError(text)
        yield ""

    with pytest.raises(ValueError, match="No"):
        await all_of([Places(1).of("a", asyncio.Event()), broken])
