"""One server of this package as the remote engine of another: what is asked arrives as it was asked."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from jupyter_server.serverapp import ServerApp

from jupyter_mlx_gpt_oss.app import GptOss
from jupyter_mlx_gpt_oss.engine.base import EngineState
from jupyter_mlx_gpt_oss.engine.remote_config import RemoteConfig
from jupyter_mlx_gpt_oss.engine.remote_engine import RemoteEngine
from jupyter_mlx_gpt_oss.engine.request import (
    GenerationRequest,
    Progress,
    ProgressStage,
    TokenLogprobs,
    TokenOutput,
)
from jupyter_mlx_gpt_oss.engine.sampling import SamplingParams
from jupyter_mlx_gpt_oss.errors import (
    ContextLengthError,
    GptOssError,
    InvalidRequestError,
    OutOfMemoryError,
    QueueFullError,
    RemoteEngineError,
)
from jupyter_mlx_gpt_oss.harmony import render_prompt
from jupyter_mlx_gpt_oss.harmony.grammar import turn_grammar
from tests.support.http_client import HttpClient
from tests.support.scripted_engine import ScriptedEngine, tokens_of

MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}]
SAMPLING = SamplingParams(
    temperature=0.7,
    top_p=0.9,
    min_p=0.01,
    seed=2**63 + 5,
    presence_penalty=1.0,
    frequency_penalty=-1.0,
    repetition_penalty=1.1,
    repetition_context_size=7,
    logit_bias={5: 1.5},
)


@pytest.fixture
def url(jp_serverapp: ServerApp, http: HttpClient, jp_http_port: int) -> str:
    del http  # with which the server listens
    return f"http://127.0.0.1:{jp_http_port}{jp_serverapp.base_url}gpt-oss/v1"


@pytest.fixture
def remote(url: str, gpt_oss: GptOss, jp_asyncio_loop: Any) -> Iterator[RemoteEngine]:
    """An engine whose server is the test's own."""
    engine = RemoteEngine(RemoteConfig(urls=(url,), key=gpt_oss.door.api_key))
    yield engine
    jp_asyncio_loop.run_until_complete(engine.stop())


def chat_request() -> GenerationRequest:
    prompt = render_prompt(MESSAGES)
    return GenerationRequest(
        request_id="r",
        prompt_token_ids=prompt.token_ids,
        max_tokens=50,
        stop_token_ids=(200_002, 200_012),
        boundaries=prompt.boundaries,
        num_logprobs=2,
        sampling=SAMPLING,
        caller="ada",
    )


async def outputs_of(engine: RemoteEngine, request: GenerationRequest) -> list[Progress | TokenOutput]:
    return [output async for output in engine.generate(request)]


async def test_a_request_arrives_as_it_was_asked(remote: RemoteEngine, engine: ScriptedEngine) -> None:
    asked = chat_request()
    await outputs_of(remote, asked)
    (heard,) = engine.requests
    assert heard.caller not in {"", "ada"}
    assert replace(heard, request_id="r", caller="ada") == asked


async def test_an_answer_comes_back_as_it_was_given(remote: RemoteEngine, engine: ScriptedEngine) -> None:
    text = "<|channel|>analysis<|message|>Hm \u2028.<|end|><|start|>assistant<|channel|>final<|message|>Hi<|return|>"
    engine.num_cached_tokens = 3
    engine.enqueue(Progress(stage=ProgressStage.QUEUED, done=2), text)
    progress, *outputs = await outputs_of(remote, chat_request())
    assert progress == Progress(stage=ProgressStage.QUEUED, done=2)
    tokens = [output for output in outputs if isinstance(output, TokenOutput)]
    assert [token_id for output in tokens for token_id in output.token_ids] == tokens_of(text)
    assert tokens[-1].num_cached_tokens == 3
    for output in tokens:
        (token_id,) = output.token_ids
        assert output.logprobs == (TokenLogprobs(-0.5, ((token_id, -0.5), (token_id - 1, -1.5))),)


async def test_grammars_are_taken(remote: RemoteEngine, engine: ScriptedEngine) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    tool = {"type": "function", "function": {"name": "f", "strict": True, "parameters": schema}}
    await outputs_of(remote, replace(chat_request(), grammar=turn_grammar([tool], tool_choice="required")))
    assert engine.requests[0].grammar is not None
    assert "%json" in engine.requests[0].grammar


@pytest.mark.parametrize(
    "error", [QueueFullError("Full."), OutOfMemoryError("No memory."), InvalidRequestError("No.", param="x")]
)
async def test_errors_come_through_as_they_are(
    remote: RemoteEngine, engine: ScriptedEngine, error: GptOssError
) -> None:
    engine.enqueue(error)
    with pytest.raises(type(error), match=error.message):
        await outputs_of(remote, chat_request())


async def test_a_prompt_too_long_is_refused_with_both_numbers(
    remote: RemoteEngine, engine: ScriptedEngine
) -> None:
    await engine.load()
    request = replace(chat_request(), prompt_token_ids=(1,) * 5000)
    with pytest.raises(ContextLengthError) as raised:
        await outputs_of(remote, request)
    assert (raised.value.num_prompt_tokens, raised.value.max_context_tokens) == (5000, 4096)


async def test_a_wrong_key_is_told(url: str) -> None:
    remote = RemoteEngine(RemoteConfig(urls=(url,), key="wrong"))
    with pytest.raises(RemoteEngineError, match="key"):
        await remote.load()
    assert remote.status().state is EngineState.FAILED
    await remote.stop()
