"""How much of the queue one user may have."""

import asyncio
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest

from jupyter_mlx_gpt_oss.engine.config import EngineConfig
from jupyter_mlx_gpt_oss.engine.engine_process import EngineProcess
from jupyter_mlx_gpt_oss.engine.request import GenerationRequest, Progress
from jupyter_mlx_gpt_oss.errors import QueueFullError

REQUEST = GenerationRequest(
    request_id="a", prompt_token_ids=(1, 2), max_tokens=2000, stop_token_ids=(), caller="ann"
)


def test_one_user_may_not_fill_the_queue(tiny_checkpoint: Path) -> None:
    async def run() -> None:
        engine = EngineProcess(EngineConfig(model=str(tiny_checkpoint), max_requests_per_user=1))
        try:
            async with aclosing(engine.generate(REQUEST)) as outputs:
                await anext(outputs)
                with pytest.raises(QueueFullError, match="and 1 of one user"):
                    await anext(engine.generate(replace(REQUEST, request_id="b")))
                others = engine.generate(replace(REQUEST, request_id="c", caller="bob"))
                assert isinstance(await anext(others), Progress)
                await others.aclose()
        finally:
            await engine.stop()

    asyncio.run(run())
