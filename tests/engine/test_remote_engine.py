"""Somebody else's engine behind ours: over HTTP, against a stand-in that takes nothing that vLLM does not document."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from jupyter_mlx_gpt_oss.engine.base import EngineState
from jupyter_mlx_gpt_oss.engine.config import EngineConfig
from jupyter_mlx_gpt_oss.engine.remote_config import RemoteConfig
from jupyter_mlx_gpt_oss.engine.remote_engine import RemoteEngine
from jupyter_mlx_gpt_oss.engine.remote_failures import error_of
from jupyter_mlx_gpt_oss.engine.remote_wire import ModelList
from jupyter_mlx_gpt_oss.engine.request import (
    FinishReason,
    GenerationRequest,
    Progress,
    TokenLogprobs,
    TokenOutput,
)
from jupyter_mlx_gpt_oss.engine.sampling import SamplingParams
from jupyter_mlx_gpt_oss.errors import (
    ContextLengthError,
    EngineDeadError,
    GenerationError,
    GptOssError,
    InvalidRequestError,
    ModelLoadError,
    ModelNotFoundError,
    QueueFullError,
    RemoteEngineError,
    UnsupportedFeatureError,
)
from jupyter_mlx_gpt_oss.harmony.grammar import turn_grammar
from tests.support.engine_caller import until
from tests.support.scripted_engine import ScriptedEngine, tokens_of
from tests.support.strict_completions_server import CONTEXT_LENGTH, MODEL, StrictServer, strict_server

TLS = Path(__file__).parent.parent / "data" / "tls"
RETURN = 200_002
REQUEST = GenerationRequest(
    request_id="r", prompt_token_ids=(1, 2, 3), max_tokens=100, stop_token_ids=(RETURN, 200_012)
)


@pytest.fixture
def behind() -> ScriptedEngine:
    """The engine of the server."""
    return ScriptedEngine(EngineConfig())


@asynccontextmanager
async def remote(*urls: str, **options: Any) -> AsyncIterator[RemoteEngine]:
    engine = RemoteEngine(RemoteConfig(urls=urls, **{"health_interval_seconds": 0.01, **options}))
    try:
        yield engine
    finally:
        await engine.stop()


@asynccontextmanager
async def pair(behind: ScriptedEngine, **options: Any) -> AsyncIterator[tuple[RemoteEngine, StrictServer]]:
    async with strict_server(behind) as server, remote(server.url, **options) as engine:
        yield engine, server
        assert server.refusals == []


async def answer(engine: RemoteEngine, request: GenerationRequest = REQUEST) -> list[TokenOutput]:
    outputs = [output async for output in engine.generate(request)]
    return [output for output in outputs if isinstance(output, TokenOutput)]


def ids(outputs: list[TokenOutput]) -> list[int]:
    return [token_id for output in outputs for token_id in output.token_ids]


async def test_an_answer_comes_back_token_for_token(behind: ScriptedEngine) -> None:
    text = "<|channel|>final<|message|>Hello \u2028 you<|return|>"
    behind.enqueue(text)
    async with pair(behind) as (engine, _):
        outputs = await answer(engine)
        assert ids(outputs) == tokens_of(text)
        assert [output.finish_reason for output in outputs] == [None] * (len(outputs) - 1) + [
            FinishReason.STOP
        ]


async def test_a_limit_ends_an_answer(behind: ScriptedEngine) -> None:
    async with pair(behind) as (engine, _):
        outputs = await answer(engine, replace(REQUEST, max_tokens=2))
        assert (len(ids(outputs)), outputs[-1].finish_reason) == (2, FinishReason.LENGTH)


async def test_the_last_output_tells_what_was_cached(behind: ScriptedEngine) -> None:
    behind.num_cached_tokens = 2
    async with pair(behind) as (engine, _):
        assert (await answer(engine))[-1].num_cached_tokens == 2


async def test_log_probabilities_come_by_token_id(behind: ScriptedEngine) -> None:
    async with pair(behind) as (engine, _):
        outputs = await answer(engine, replace(REQUEST, num_logprobs=2))
        for output in outputs:
            (token_id,) = output.token_ids
            assert output.logprobs == (TokenLogprobs(-0.5, ((token_id, -0.5), (token_id - 1, -1.5))),)


SAMPLINGS = [
    SamplingParams(),
    SamplingParams(temperature=0.0, seed=2**64 - 1),
    SamplingParams(temperature=2.0, top_p=0.1, min_p=1.0, seed=0),
    SamplingParams(presence_penalty=-2.0, frequency_penalty=2.0, repetition_penalty=1.3),
    SamplingParams(logit_bias={0: -100.0, 201_087: 100.0}),
]


@pytest.mark.parametrize("sampling", SAMPLINGS)
async def test_every_way_to_draw_is_sent_as_documented(
    behind: ScriptedEngine, sampling: SamplingParams
) -> None:
    async with pair(behind) as (engine, server):
        await answer(engine, replace(REQUEST, sampling=sampling, caller="ada", num_logprobs=5))
        (body,) = server.bodies
        assert body["temperature"] == sampling.temperature
        assert body.get("seed") == {2**64 - 1: -1}.get(sampling.seed or 0, sampling.seed)
        assert (body["return_token_ids"], body["skip_special_tokens"]) == (True, False)


async def test_callers_have_salts_of_their_own_which_are_always_the_same(behind: ScriptedEngine) -> None:
    async with pair(behind, key="sk-1") as (engine, server):
        for caller in ("ada", "bob", "ada"):
            await answer(engine, replace(REQUEST, caller=caller))
        salts = [body["cache_salt"] for body in server.bodies]
        assert salts[0] == salts[2] != salts[1]
    async with pair(behind, salts_cache=False) as (engine, server):
        await answer(engine, replace(REQUEST, caller="ada"))
        assert "cache_salt" not in server.bodies[0]


@pytest.mark.parametrize(
    ("tool_choice", "response_format", "effort"),
    [
        ("required", None, "high"),
        ("auto", None, "low"),
        ("none", {"type": "json_object"}, "medium"),
        ("auto", {"type": "json_schema", "json_schema": {"schema": {"type": "array"}}}, "none"),
    ],
)
async def test_grammars_are_sent_as_one_text_that_compiles(
    behind: ScriptedEngine, tool_choice: str, response_format: dict[str, Any] | None, effort: str
) -> None:
    parameters = {"type": "object", "properties": {'@name"': {"enum": ["<|end|>"]}}}
    tools = [{"type": "function", "function": {"name": "f", "strict": True, "parameters": parameters}}]
    grammar = turn_grammar(
        tools, tool_choice=tool_choice, response_format=response_format, reasoning_effort=effort
    )
    async with pair(behind) as (engine, server):
        await answer(engine, replace(REQUEST, grammar=grammar))
        (body,) = server.bodies
        assert set(body["structured_outputs"]) == {"grammar"}


async def test_a_prompt_that_leaves_no_room_is_refused_with_both_numbers(behind: ScriptedEngine) -> None:
    async with pair(behind) as (engine, server):
        request = replace(REQUEST, prompt_token_ids=(1,) * CONTEXT_LENGTH)
        with pytest.raises(ContextLengthError) as raised:
            await answer(engine, request)
        assert raised.value.max_context_tokens == CONTEXT_LENGTH
        await answer(engine, replace(request, prompt_token_ids=(1,) * (CONTEXT_LENGTH - 1)))
        assert server.bodies[0]["max_tokens"] == 1


async def test_a_token_outside_of_the_vocabulary_is_refused_here(behind: ScriptedEngine) -> None:
    async with pair(behind) as (engine, _):
        with pytest.raises(InvalidRequestError, match="vocabulary"):
            await answer(engine, replace(REQUEST, prompt_token_ids=(201_088,)))


async def test_a_closed_iterator_ends_the_request_at_the_server(behind: ScriptedEngine) -> None:
    behind.enqueue("<|channel|>", asyncio.Event())
    async with pair(behind) as (engine, _):
        async with aclosing(engine.generate(REQUEST)) as outputs:
            await anext(outputs)
        assert await behind.endings.get() == "closed"
        assert engine.status().num_running == 0


async def test_an_abort_ends_the_iterator_and_the_request_at_the_server(behind: ScriptedEngine) -> None:
    behind.enqueue("<|channel|>", asyncio.Event())
    async with pair(behind) as (engine, _):
        outputs = engine.generate(REQUEST)
        await anext(outputs)
        engine.abort("r")
        engine.abort("unknown")
        assert await anext(outputs) == TokenOutput(token_ids=(), finish_reason=FinishReason.ABORT)
        assert [output async for output in outputs] == []
        assert await behind.endings.get() == "closed"


async def test_unloading_ends_open_requests_with_an_error(behind: ScriptedEngine) -> None:
    behind.enqueue("<|channel|>", asyncio.Event())
    async with pair(behind) as (engine, _):
        outputs = engine.generate(REQUEST)
        await anext(outputs)
        assert engine.status().state is EngineState.READY
        await engine.unload()
        with pytest.raises(EngineDeadError, match="let go"):
            await anext(outputs)
        assert engine.status().state is EngineState.UNLOADED


def told(message: str, code: int) -> dict[str, Any]:
    return {"error": {"message": message, "type": "X", "param": None, "code": code}}


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, InvalidRequestError),
        (401, RemoteEngineError),
        (404, RemoteEngineError),
        (413, InvalidRequestError),
        (429, QueueFullError),
        (500, GenerationError),
        (503, EngineDeadError),
    ],
)
async def test_what_a_server_refuses_stays_whose_fault_it_was(
    behind: ScriptedEngine, status: int, error: type[GptOssError]
) -> None:
    async with pair(behind) as (engine, server):
        await engine.load()
        server.failure = (status, {"Retry-After": "7"}, told("No.", status))
        with pytest.raises(error, match="No"):
            await answer(engine)


async def test_a_full_queue_says_when_to_try_again(behind: ScriptedEngine) -> None:
    async with pair(behind) as (engine, server):
        await engine.load()
        server.failure = (429, {"Retry-After": "7"}, told("Full.", 429))
        with pytest.raises(QueueFullError) as raised:
            await answer(engine)
        assert raised.value.retry_after_seconds == 7


async def test_no_more_requests_are_open_than_may(behind: ScriptedEngine) -> None:
    behind.enqueue("<|channel|>", asyncio.Event())
    async with pair(behind, max_open_requests=1) as (engine, _), aclosing(engine.generate(REQUEST)) as first:
        await anext(first)
        with pytest.raises(QueueFullError):
            await answer(engine, replace(REQUEST, request_id="second"))


async def test_an_error_within_an_answer_is_an_error(behind: ScriptedEngine) -> None:
    behind.enqueue("<|channel|>final", GenerationError("It broke."))
    async with pair(behind) as (engine, _):
        with pytest.raises(GenerationError, match="It broke"):
            await answer(engine)


async def test_an_answer_that_breaks_off_is_an_error(behind: ScriptedEngine) -> None:
    async with pair(behind) as (engine, server):
        server.cuts_after = 2
        with pytest.raises(EngineDeadError, match="does not answer"):
            await answer(engine)


@pytest.mark.parametrize("body", ["data: {\n\n", 'data: {"choices": [{"text": "Hi"}]}\n\n'])
async def test_a_stranger_is_told_apart_from_an_engine(behind: ScriptedEngine, body: str) -> None:
    async with pair(behind) as (engine, server):
        await engine.load()
        server.failure = (200, {}, body)
        with pytest.raises(RemoteEngineError):
            await answer(engine)


async def test_the_model_is_the_one_that_the_server_lists(behind: ScriptedEngine) -> None:
    async with pair(behind) as (engine, _):
        model = await engine.load()
        assert (model.name, model.context_length, model.is_demo) == (MODEL, CONTEXT_LENGTH, False)
        assert await engine.load(MODEL) == model
        with pytest.raises(ModelNotFoundError, match="serves openai/gpt-oss-120b"):
            await engine.load("another")
        assert engine.status().state is EngineState.READY


async def test_a_context_may_be_held_shorter(behind: ScriptedEngine) -> None:
    async with pair(behind, context_length=100) as (engine, _):
        assert (await engine.load()).context_length == 100


async def test_the_key_is_sent(behind: ScriptedEngine) -> None:
    async with strict_server(behind, key="sk-1") as server:
        async with remote(server.url, key="sk-1") as engine:
            assert ids(await answer(engine))
        async with remote(server.url) as engine:
            with pytest.raises(RemoteEngineError, match="refuses this server"):
                await answer(engine)
            assert engine.status().state is EngineState.FAILED


async def test_a_certificate_is_checked_against_the_authorities_that_were_given(
    behind: ScriptedEngine,
) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(TLS / "certificate.pem", TLS / "key.pem")
    async with strict_server(behind, tls=context) as server:
        async with remote(server.url, ca_file=str(TLS / "certificate.pem")) as engine:
            assert ids(await answer(engine))
        async with remote(server.url) as engine:
            with pytest.raises(EngineDeadError, match="certificate"):
                await answer(engine)


async def test_a_file_of_tls_that_cannot_be_read_is_told() -> None:
    with pytest.raises(ModelLoadError, match="TLS"):
        RemoteEngine(RemoteConfig(urls=("https://127.0.0.1:1/v1",), ca_file="/no/such/file"))


@pytest.mark.parametrize("urls", [(), ("127.0.0.1:8000/v1",)])
def test_a_config_needs_urls(urls: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=r"url|URL"):
        RemoteConfig(urls=urls)


async def test_a_request_goes_to_the_next_server_where_one_is_gone(behind: ScriptedEngine) -> None:
    async with strict_server(behind) as server, remote("http://127.0.0.1:1/v1", server.url) as engine:
        assert ids(await answer(engine))
        assert engine.status().state is EngineState.READY


@pytest.mark.parametrize("status", [302, 400, 429, 500, 520])
async def test_a_request_goes_to_the_next_server_where_one_cannot_tell_its_models(
    behind: ScriptedEngine, status: int
) -> None:
    async with (
        strict_server(behind) as broken,
        strict_server(behind) as sound,
        remote(broken.url, sound.url) as engine,
    ):
        broken.failure = (status, {}, told("No.", status))
        assert ids(await answer(engine))
        assert [server.is_healthy for server in engine._servers] == [False, True]
        broken.failure = None
        assert engine._watching is not None
        await asyncio.wait_for(engine._watching, 10)
        assert engine._servers[0].is_healthy


async def test_after_it_was_let_go_the_first_request_finds_the_model_again(behind: ScriptedEngine) -> None:
    async with pair(behind) as (engine, _):
        await engine.load()
        engine._servers[0].is_healthy = False
        await engine.unload()
        assert engine._servers[0].is_healthy
        assert ids(await answer(engine))
        status = engine.status()
        assert status.state is EngineState.READY
        assert status.model is not None
        assert status.model.name == MODEL


async def test_another_model_is_asked_for_of_every_server(behind: ScriptedEngine) -> None:
    async with (
        strict_server(behind) as first,
        strict_server(behind) as second,
        remote(first.url, second.url) as engine,
    ):
        for server in engine._servers:
            await engine._look(server)
        await engine.load(MODEL)
        assert [server.model is None for server in engine._servers] == [False, True]


def test_an_adapter_is_as_long_as_the_model_that_it_changes() -> None:
    body = (
        b'{"data": [{"id": "base", "max_model_len": 4096}, {"id": "lora", "parent": "base"}, {"id": "odd"}]}'
    )
    models = msgspec.json.decode(body, type=ModelList)
    lengths = {card.id: models.context_length(card) for card in models.data}
    assert lengths == {"base": 4096, "lora": 4096, "odd": None}


def test_a_prompt_too_long_for_a_server_of_this_package_stays_one() -> None:
    told_there = ContextLengthError(5000, 4096)
    body = json.dumps({"error": {"message": told_there.message, "code": told_there.code}}).encode()
    error = error_of(400, body, {})
    assert isinstance(error, ContextLengthError)
    assert (error.num_prompt_tokens, error.max_context_tokens) == (5000, 4096)


@pytest.mark.parametrize(
    ("code", "param", "kind"),
    [
        ("invalid_request_error", "structured_outputs", InvalidRequestError),
        ("unsupported_parameter", "structured_outputs.grammar", UnsupportedFeatureError),
        ("request_too_large", None, InvalidRequestError),
        ("context_length_exceeded", "prompt", ContextLengthError),
        ("rate_limit_exceeded", None, QueueFullError),
        ("server_stopping", None, EngineDeadError),
        ("model_loading", None, EngineDeadError),
        ("remote_engine_failed", None, RemoteEngineError),
        ("generation_failed", None, GenerationError),
        ("something_else", None, GenerationError),
    ],
)
def test_an_error_within_a_stream_is_the_one_that_it_would_be_before_it(
    code: str, param: str | None, kind: type[GptOssError]
) -> None:
    told_there = {"message": "The prompt has 9000 tokens, and 4096 fit.", "code": code, "param": param}
    error = error_of(500, json.dumps({"error": told_there}).encode(), {})
    assert type(error) is kind
    assert getattr(error, "param", None) in {None, "messages"}


async def test_a_server_that_comes_back_with_another_model_is_taken_as_it_is(behind: ScriptedEngine) -> None:
    async with pair(behind) as (engine, server):
        await engine.load()
        server.failure = (503, {}, told("Starting.", 503))
        with pytest.raises(EngineDeadError):
            await answer(engine)
        server.failure, server.model = None, "gpt-oss-of-tomorrow"
        assert engine._watching is not None
        await asyncio.wait_for(engine._watching, 10)
        model = engine.status().model
        assert model is not None
        assert model.name == "gpt-oss-of-tomorrow"
        assert ids(await answer(engine))


async def test_a_short_outage_leaves_nobody_with_another_model(behind: ScriptedEngine) -> None:
    async with (
        strict_server(behind) as first,
        strict_server(behind) as other,
        remote(first.url, other.url) as engine,
    ):
        other.model = "another-model"
        await engine.load()
        first.failure = (503, {}, told("Starting.", 503))
        with pytest.raises((EngineDeadError, ModelLoadError)):
            await answer(engine)
        await asyncio.sleep(0.05)  # several looks at both
        first.failure = None
        await until(lambda: engine.status().state is EngineState.READY)
        model = engine.status().model
        assert model is not None
        assert model.name == MODEL
        assert ids(await answer(engine))


async def test_a_server_that_comes_back_is_asked_again(behind: ScriptedEngine) -> None:
    async with pair(behind) as (engine, server):
        await engine.load()
        server.failure = (503, {}, told("Starting.", 503))
        with pytest.raises(EngineDeadError):
            await answer(engine)
        assert engine.status().state is EngineState.FAILED
        server.failure = None
        assert engine._watching is not None
        await asyncio.wait_for(engine._watching, 10)
        assert engine.status().state is EngineState.READY


async def test_a_full_server_is_passed_over_and_stays_in_rotation(behind: ScriptedEngine) -> None:
    async with (
        strict_server(behind) as full,
        strict_server(behind) as free,
        remote(full.url, free.url) as engine,
    ):
        await engine.load()
        full.failure = (429, {}, told("Full.", 429))
        assert ids(await answer(engine))
        assert all(server.is_healthy for server in engine._servers)


async def test_the_least_busy_server_is_asked(behind: ScriptedEngine) -> None:
    behind.enqueue("<|channel|>", asyncio.Event())
    async with (
        strict_server(behind) as first,
        strict_server(behind) as second,
        remote(first.url, second.url) as engine,
        aclosing(engine.generate(REQUEST)) as outputs,
    ):
        await anext(outputs)
        await answer(engine, replace(REQUEST, request_id="second", prompt_token_ids=(9,)))
        assert (len(first.bodies), len(second.bodies)) == (1, 1)


async def test_progress_of_our_own_servers_is_passed_on(behind: ScriptedEngine) -> None:
    async with pair(behind) as (engine, server):
        await engine.load()
        progress = ': gpt-oss {"stage": "queued", "done": 3, "total": 0}\n\n'
        last = 'data: {"choices": [{"token_ids": [5], "finish_reason": "length"}]}\n\n'
        server.failure = (200, {}, f"{progress}{last}data: [DONE]\n\n")
        outputs = [output async for output in engine.generate(REQUEST)]
        assert [type(output) for output in outputs] == [Progress, TokenOutput]
