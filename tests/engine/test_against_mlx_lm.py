"""The whole engine gives the tokens that mlx-lm itself gives for the same checkpoint."""

import asyncio
import random
from functools import cache
from pathlib import Path
from typing import Any

import mlx.core as mx
import pytest
from mlx_lm.generate import stream_generate
from mlx_lm.tokenizer_utils import load as load_tokenizer
from mlx_lm.utils import load_model

from benchmarks.make_checkpoint import make_checkpoint
from jupyter_mlx_gpt_oss import demo
from jupyter_mlx_gpt_oss.engine.config import EngineConfig
from jupyter_mlx_gpt_oss.engine.engine_process import EngineProcess
from jupyter_mlx_gpt_oss.engine.request import GenerationRequest, TokenOutput
from jupyter_mlx_gpt_oss.engine.sampling import SamplingParams
from jupyter_mlx_gpt_oss.harmony import render_chat

PROMPT_LENGTHS = (5, 127, 128, 129, 900)
NUM_TOKENS = 300
NUM_DEMO_TOKENS = 24  # mlx-lm's full head takes a tenth of a second for each


def _prompts(lengths: tuple[int, ...], vocabulary: int) -> list[tuple[int, ...]]:
    source = random.Random(11)
    return [tuple(source.randrange(vocabulary) for _ in range(length)) for length in lengths]


@cache
def _tokenizer() -> Any:
    return load_tokenizer(demo.cached_checkpoint(), eos_token_ids=[-1])  # nothing ends an answer early


def _expected(directory: Path, prompts: list[tuple[int, ...]], num_tokens: int) -> list[list[int]]:
    """What mlx-lm's own generation gives, greedy, in float32 as the engine computes on a CPU."""
    model, _ = load_model(directory)
    model.set_dtype(mx.float32)
    return [
        [news.token for news in stream_generate(model, _tokenizer(), list(prompt), max_tokens=num_tokens)]
        for prompt in prompts
    ]


async def _collect(engine: EngineProcess, name: str, prompt: tuple[int, ...], num_tokens: int) -> list[int]:
    request = GenerationRequest(
        request_id=name,
        prompt_token_ids=prompt,
        max_tokens=num_tokens,
        stop_token_ids=(),
        sampling=SamplingParams(temperature=0.0),
    )
    outputs = [output async for output in engine.generate(request) if isinstance(output, TokenOutput)]
    return [token_id for output in outputs for token_id in output.token_ids]


async def _alone(directory: Path, prompts: list[tuple[int, ...]], num_tokens: int) -> list[list[int]]:
    engine = EngineProcess(EngineConfig(model=str(directory)))
    try:
        return [await _collect(engine, str(len(prompt)), prompt, num_tokens) for prompt in prompts]
    finally:
        await engine.stop()


async def _together(directory: Path, prompts: list[tuple[int, ...]], num_tokens: int) -> list[list[int]]:
    engine = EngineProcess(EngineConfig(model=str(directory), max_running_requests=4, max_prefill_tokens=100))
    try:
        answers = (_collect(engine, str(len(prompt)), prompt, num_tokens) for prompt in prompts)
        return list(await asyncio.gather(*answers))
    finally:
        await engine.stop()


@pytest.fixture(scope="module")
def prompts() -> list[tuple[int, ...]]:
    return _prompts(PROMPT_LENGTHS, vocabulary=1024)


@pytest.fixture(scope="module")
def expected(tiny_checkpoint: Path, prompts: list[tuple[int, ...]]) -> list[list[int]]:
    return _expected(tiny_checkpoint, prompts, NUM_TOKENS)


def test_alone_every_prompt_gives_the_tokens_of_mlx_lm(
    tiny_checkpoint: Path, prompts: list[tuple[int, ...]], expected: list[list[int]]
) -> None:
    assert asyncio.run(_alone(tiny_checkpoint, prompts, NUM_TOKENS)) == expected


def test_four_at_once_with_small_prefill_chunks_give_the_tokens_of_mlx_lm(
    tiny_checkpoint: Path, prompts: list[tuple[int, ...]], expected: list[list[int]]
) -> None:
    assert asyncio.run(_together(tiny_checkpoint, prompts, NUM_TOKENS)) == expected


def test_openais_own_layout_gives_the_tokens_of_mlx_lm(
    tiny_openai_checkpoint: Path, prompts: list[tuple[int, ...]]
) -> None:
    expected = _expected(tiny_openai_checkpoint, prompts[:2], 40)
    assert asyncio.run(_alone(tiny_openai_checkpoint, prompts[:2], 40)) == expected


def test_a_rest_that_is_not_quantised_gives_the_tokens_of_mlx_lm(
    tmp_path: Path, prompts: list[tuple[int, ...]]
) -> None:
    directory = make_checkpoint("tiny", tmp_path, layout="mlx-plain")
    expected = _expected(directory, prompts[:2], 40)
    assert asyncio.run(_alone(directory, prompts[:2], 40)) == expected


def test_the_demo_gives_with_its_narrow_head_what_mlx_lm_gives_with_the_full_one() -> None:
    questions = ("Tell me a story.", "Count to 60.", "Recite a poem.", "Give me a table of planets.")
    prompts = [
        tuple(render_chat([{"role": "user", "content": question}], current_date="2026-11-23"))
        for question in questions
    ]

    async def answers() -> list[list[int]]:
        engine = EngineProcess(EngineConfig(model="demo"))
        try:
            alone = await _collect(engine, "alone", prompts[0], NUM_DEMO_TOKENS)
            together = (
                _collect(engine, str(index), prompt, NUM_DEMO_TOKENS) for index, prompt in enumerate(prompts)
            )
            return [alone, *await asyncio.gather(*together)]
        finally:
            await engine.stop()

    expected = _expected(demo.cached_checkpoint(), prompts, NUM_DEMO_TOKENS)
    assert asyncio.run(answers()) == [expected[0], *expected]


def test_the_exact_shapes_of_gpt_oss_20b_load_and_generate(tmp_path: Path) -> None:
    directory = make_checkpoint("full", tmp_path)
    [tokens] = asyncio.run(_alone(directory, [(200_006, 173_781, 200_005)], 3))
    assert len(tokens) == 3
    assert all(0 <= token < 201_088 for token in tokens)
