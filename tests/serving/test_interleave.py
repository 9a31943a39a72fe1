"""Several streams as one."""

import asyncio
from collections.abc import AsyncGenerator, Callable

import pytest

from jupyter_mlx_gpt_oss.errors import QueueFullError
from jupyter_mlx_gpt_oss.serving.interleave import interleave


class Source:
    """Yields what it is given; at an event it waits, an error it raises."""

    def __init__(self, *steps: str | asyncio.Event | Exception) -> None:
        self.steps = steps
        self.is_closed = False

    async def items(self) -> AsyncGenerator[str, None]:
        try:
            for step in self.steps:
                if isinstance(step, Exception):
                    raise step
                if isinstance(step, asyncio.Event):
                    await step.wait()
                else:
                    yield step
        finally:
            self.is_closed = True


async def test_items_come_as_they_arrive_each_with_its_stream() -> None:
    gate = asyncio.Event()
    slow, fast = Source("a", gate, "d"), Source("b", "c")
    seen = []
    async for index, item in interleave([slow.items, fast.items]):
        seen.append((index, item))
        if item == "c":
            gate.set()
    assert seen == [(0, "a"), (1, "b"), (1, "c"), (0, "d")]


async def test_a_failure_ends_all_streams_before_items_that_came_with_it() -> None:
    sources = [Source("a"), Source(ValueError("No.")), Source(asyncio.Event())]
    with pytest.raises(ValueError, match="No"):
        await anext(interleave([source.items for source in sources]))
    assert all(source.is_closed for source in sources)


async def test_closing_it_closes_the_streams() -> None:
    sources = [Source("a", "b"), Source("c", asyncio.Event())]
    stream = interleave([source.items for source in sources])
    assert await anext(stream) == (0, "a")
    await stream.aclose()
    assert all(source.is_closed for source in sources)


async def test_no_streams_have_no_items() -> None:
    nothing: list[Callable[[], AsyncGenerator[str, None]]] = []
    assert [item async for item in interleave(nothing)] == []


async def test_no_more_streams_are_open_than_may_be() -> None:
    sources = [Source("a", "b"), Source("c"), Source("d"), Source("e", "f")]
    seen = []
    async for item in interleave([source.items for source in sources], max_open=2):
        seen.append(item)
        is_begun = [
            any(index == number for index, _ in seen) and not source.is_closed
            for number, source in enumerate(sources)
        ]
        assert sum(is_begun) <= 2
    assert sorted(seen) == [(0, "a"), (0, "b"), (1, "c"), (2, "d"), (3, "e"), (3, "f")]


class Places:
    """As many as there are; a source that finds none fails."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.num_refused = 0

    def of(self, source: Source) -> Callable[[], AsyncGenerator[str, None]]:
        async def items() -> AsyncGenerator[str, None]:
            if not self.number:
                self.num_refused += 1
                raise QueueFullError("Full.")
            self.number -= 1
            try:
                async for item in source.items():
                    await asyncio.sleep(0)
                    yield item
            finally:
                self.number += 1

        return items


async def test_a_stream_that_finds_the_queue_full_begins_when_another_has_ended() -> None:
    places = Places(2)
    streams = [places.of(Source(f"{number}a", f"{number}b")) for number in range(6)]
    seen = [item async for item in interleave(streams)]
    assert sorted(seen) == [(number, f"{number}{half}") for number in range(6) for half in "ab"]
    assert places.num_refused == 4  # once each, and not again and again
    assert places.number == 2


async def test_a_place_that_somebody_else_takes_costs_no_answer_while_others_are_open() -> None:
    places, gate = Places(2), asyncio.Event()
    streams = [places.of(Source("a")), places.of(Source("b", gate, "c")), places.of(Source("d"))]
    seen = []
    async for index, item in interleave(streams, max_open=2):
        seen.append((index, item))
        if item == "b":
            places.number -= 1  # the one that the first will give back
            asyncio.get_running_loop().call_later(0.05, gate.set)
    assert seen == [(0, "a"), (1, "b"), (1, "c"), (2, "d")]
    assert places.num_refused == 1


async def test_a_queue_that_is_full_from_the_start_is_a_failure() -> None:
    with pytest.raises(QueueFullError):
        await anext(interleave([Places(0).of(Source("a"))] * 2))
