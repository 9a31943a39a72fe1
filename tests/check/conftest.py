"""A rig around a scripted engine, whose references it has played itself."""

import asyncio

import pytest

from jupyter_mlx_gpt_oss.check.device import Device
from jupyter_mlx_gpt_oss.check.prompts import exact_prompts
from jupyter_mlx_gpt_oss.check.rig import Rig, compute_references
from jupyter_mlx_gpt_oss.engine.config import EngineConfig
from tests.support.scripted_engine import ScriptedEngine


@pytest.fixture
def device() -> Device:
    return Device(system="Test", chip="Apple M1", num_gpu_cores=8, memory_bytes=16 * 2**30)


@pytest.fixture
def scripted() -> ScriptedEngine:
    """Says hello to every prompt, unless a test enqueues something else."""
    return ScriptedEngine(EngineConfig())


@pytest.fixture
def rig(jp_asyncio_loop: asyncio.AbstractEventLoop, scripted: ScriptedEngine, device: Device) -> Rig:
    model = jp_asyncio_loop.run_until_complete(scripted.load())
    prompts = exact_prompts(model.vocabulary_size)
    references = jp_asyncio_loop.run_until_complete(compute_references(scripted, prompts, lambda _: None))
    return Rig(
        engine=scripted,
        model=model,
        device=device,
        references=references,
        bytes_per_token=None,
        say=lambda _: None,
    )
