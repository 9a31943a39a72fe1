"""Raw prompts and answers in the log: at DEBUG alone, and as much of them as was asked for."""

import logging

import pytest

from jupyter_mlx_gpt_oss.engine.base import EngineState
from jupyter_mlx_gpt_oss.engine.config import EngineConfig
from jupyter_mlx_gpt_oss.engine.request import GenerationRequest
from jupyter_mlx_gpt_oss.errors import GenerationError
from jupyter_mlx_gpt_oss.serving.raw_preview import RawPreview
from tests.support.scripted_engine import ScriptedEngine, tokens_of

REQUEST = GenerationRequest(
    request_id="cmpl-1",
    prompt_token_ids=tuple(tokens_of("<|start|>user<|message|>The secret question<|end|>")),
    max_tokens=100,
    stop_token_ids=(),
)


@pytest.fixture
def engine() -> ScriptedEngine:
    return ScriptedEngine(EngineConfig())


async def generate(preview: RawPreview) -> None:
    async for _ in preview.generate(REQUEST):
        pass


async def test_the_end_of_the_prompt_and_the_beginning_of_the_answer_are_shown(
    engine: ScriptedEngine, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    engine.enqueue("<|channel|>final<|message|>A secret answer\nof two lines")
    await generate(RawPreview(engine, 30))
    prompt, answer = (record.getMessage() for record in caplog.records if record.name.endswith("raw_preview"))
    assert prompt.endswith(repr("<|start|>user<|message|>The secret question<|end|>"[-30:]))
    assert answer.endswith(repr("<|channel|>final<|message|>A secret answer\nof two lines"[:30]))
    assert prompt.startswith("cmpl-1 prompt")
    assert answer.startswith("cmpl-1 answer")


async def test_nothing_is_shown_above_debug(engine: ScriptedEngine, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    await generate(RawPreview(engine, 1000))
    assert caplog.text == ""


async def test_an_answer_that_fails_is_shown_as_far_as_it_came(
    engine: ScriptedEngine, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    engine.enqueue("Half", GenerationError("Broken."))
    with pytest.raises(GenerationError):
        await generate(RawPreview(engine, 1000))
    assert "its beginning: 'Half'" in caplog.text


async def test_it_is_the_engine_in_all_else(engine: ScriptedEngine) -> None:
    preview = RawPreview(engine, 10)
    assert (await preview.load("other")).name == "other"
    assert preview.status().state is EngineState.READY
    preview.precompute((1, 2))
    assert engine.precomputed.get_nowait() == (1, 2)
    preview.abort("unknown")
    await preview.unload()
    assert preview.status().state is EngineState.UNLOADED
    await preview.stop()
    assert engine.is_stopped
