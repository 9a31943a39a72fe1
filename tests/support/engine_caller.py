"""An engine with a worker process of its own, and what a test asks of it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import psutil

from jupyter_mlx_gpt_oss.engine.config import EngineConfig
from jupyter_mlx_gpt_oss.engine.engine_process import EngineProcess
from jupyter_mlx_gpt_oss.engine.request import FinishReason, GenerationRequest, TokenOutput
from jupyter_mlx_gpt_oss.engine.sampling import SamplingParams
from tests.support.processes import engine_workers

Answer = tuple[list[int], FinishReason | None]


def greedy_request(
    name: str = "r", *, prompt: tuple[int, ...] = (1, 2, 3), max_tokens: int = 20
) -> GenerationRequest:
    """Ask for tokens that are the same each time."""
    return GenerationRequest(
        request_id=name,
        prompt_token_ids=prompt,
        max_tokens=max_tokens,
        stop_token_ids=(),
        sampling=SamplingParams(temperature=0.0),
    )


async def answer_of(
    engine: EngineProcess, request: GenerationRequest, *, begun: asyncio.Event | None = None
) -> Answer:
    """Return all tokens; `begun` is set with the first."""
    token_ids: list[int] = []
    finish_reason = None
    async for output in engine.generate(request):
        if isinstance(output, TokenOutput):
            token_ids += output.token_ids
            finish_reason = output.finish_reason
            if begun is not None:
                begun.set()
    return token_ids, finish_reason


async def until(condition: Callable[[], bool], *, seconds: float = 60.0) -> None:
    """Wait for what nothing tells."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  it has no event
            await asyncio.sleep(0.005)


def workers_of_this_process() -> list[psutil.Process]:
    """Return the engine processes that run now."""
    return engine_workers(psutil.Process())


@asynccontextmanager
async def engine_process(config: EngineConfig) -> AsyncIterator[EngineProcess]:
    """Give an engine, stop it, and see that it leaves no process behind."""
    before = workers_of_this_process()
    engine = EngineProcess(config)
    try:
        async with asyncio.timeout(600):
            yield engine
    finally:
        await engine.stop()
    assert workers_of_this_process() == before
