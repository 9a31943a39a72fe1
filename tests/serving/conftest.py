"""What the tests of the serving room share."""

import asyncio
from collections.abc import Iterator

import pytest

from jupyter_mlx_gpt_oss.serving.background import Background


@pytest.fixture
def background(jp_asyncio_loop: asyncio.AbstractEventLoop) -> Iterator[Background]:
    """Tasks, which end with the test."""
    tasks = Background()
    yield tasks
    jp_asyncio_loop.run_until_complete(tasks.stop())
