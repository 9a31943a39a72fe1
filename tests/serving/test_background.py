"""Work that no request waits for."""

import asyncio

import pytest

from jupyter_mlx_gpt_oss.errors import EngineDeadError
from jupyter_mlx_gpt_oss.serving.background import Background


async def fail(error: Exception) -> None:
    raise error


@pytest.mark.parametrize(
    ("error", "words"),
    [(EngineDeadError("It ended."), "engine_dead: It ended."), (KeyError("my secret"), "KeyError")],
)
async def test_a_failure_is_logged_without_the_text_of_an_unforeseen_one(
    background: Background, caplog: pytest.LogCaptureFixture, error: Exception, words: str
) -> None:
    task = background.start(fail(error))
    with pytest.raises(type(error)):
        await task
    assert len(background) == 0
    assert words in caplog.text
    assert "secret" not in "".join(record.getMessage() for record in caplog.records)


async def test_a_stop_cancels_what_goes_on() -> None:
    background = Background()
    task = background.start(asyncio.Event().wait())
    await background.stop()
    assert task.cancelled()
    assert len(background) == 0
