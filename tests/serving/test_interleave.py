"""Several streams as one."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

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
    async for index, item in interleave([slow.items(), fast.items()]):
        seen.append((index, item))
        if item == "c":
            gate.set()
    assert seen == [(0, "a"), (1, "b"), (1, "c"), (0, "d")]


async def test_a_failure_ends_all_streams_before_items_that_came_with_it() -> None:
    sources = [Source("a"), Source(ValueError("No.")), Source(asyncio.Event())]
    with pytest.raises(ValueError, match="No"):
        await anext(interleave([source.items() for source in sources]))
    assert all(source.is_closed for source in sources)


async def test_closing_it_closes_the_streams() -> None:
    sources = [Source("a", "b"), Source("c", asyncio.Event())]
    stream = interleave([source.items() for source in sources])
    assert await anext(stream) == (0, "a")
    await stream.aclose()
    assert all(source.is_closed for source in sources)


async def test_no_streams_have_no_items() -> None:
    nothing: list[AsyncGenerator[str, None]] = []
    assert [item async for item in interleave(nothing)] == []


async def test_no_more_streams_are_open_than_may_be() -> None:
    sources = [Source("a", "b"), Source("c"), Source("d"), Source("e", "f")]
    seen = []
    async for item in interleave([source.items() for source in sources], max_open=2):
        seen.append(item)
        is_begun = [
            any(index == number for index, _ in seen) and not source.is_closed
            for number, source in enumerate(sources)
        ]
        assert sum(is_begun) <= 2
    assert sorted(seen) == [(0, "a"), (0, "b"), (1, "c"), (2, "d"), (3, "e"), (3, "f")]
