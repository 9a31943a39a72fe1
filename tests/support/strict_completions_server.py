"""A server that speaks vLLM's documented completions contract to the letter, with another engine behind it.

It refuses what vLLM refuses, and besides every field that vLLM's documents do not name: vLLM would ignore it silently.
Sections are those of vLLM's documents: "OpenAI-Compatible Server" (Completions API: API reference, Sampling parameters,
Extra parameters), "Structured Outputs", "Engine Arguments"; answers are those of vllm/entrypoints/openai/completion.
"""

import asyncio
import json
import ssl
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from tornado import web
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from typing_extensions import override

from jupyter_mlx_gpt_oss.engine.base import Engine
from jupyter_mlx_gpt_oss.engine.request import FinishReason, GenerationRequest, TokenLogprobs, TokenOutput
from jupyter_mlx_gpt_oss.engine.sampling import SamplingParams
from jupyter_mlx_gpt_oss.errors import GptOssError
from tests.support.completion_rules import RefusalError, check_completion

MODEL = "openai/gpt-oss-120b"
CONTEXT_LENGTH = 4096
_GENERATION_CONFIG_STOPS = (199_999, 200_002, 200_012)  # openai/gpt-oss generation_config.json


@dataclass(slots=True)
class StrictServer:
    """A running server."""

    engine: Engine
    key: str = ""
    url: str = ""
    model: str = MODEL
    bodies: list[dict[str, Any]] = field(default_factory=list)
    """Every request that was taken."""
    refusals: list[str] = field(default_factory=list)
    """Every request that was refused, and why."""
    failure: tuple[int, dict[str, str], Any] | None = None
    """Status, headers and body of an answer to all requests, instead of their own."""
    cuts_after: int | None = None
    """How many chunks of an answer are sent before the connection breaks."""


@asynccontextmanager
async def strict_server(
    engine: Engine, *, key: str = "", port: int = 0, tls: ssl.SSLContext | None = None
) -> AsyncIterator[StrictServer]:
    """Serve on a port of this machine for as long as the context lasts."""
    state = StrictServer(engine, key)
    routes = [
        (r"/v1/models", _Models, {"state": state}),
        (r"/v1/completions", _Completions, {"state": state}),
    ]
    server = HTTPServer(web.Application(routes), ssl_options=tls)
    sockets = bind_sockets(port, "127.0.0.1")
    server.add_sockets(sockets)
    scheme = "https" if tls else "http"
    state.url = f"{scheme}://127.0.0.1:{sockets[0].getsockname()[1]}/v1"
    try:
        yield state
    finally:
        server.stop()
        await server.close_all_connections()


class _Handler(web.RequestHandler):
    state: StrictServer

    @override
    def initialize(self, state: StrictServer) -> None:
        self.state = state

    @override
    def prepare(self) -> None:
        # "OpenAI-Compatible Server", --api-key.
        if self.state.key and self.request.headers.get("Authorization") != f"Bearer {self.state.key}":
            self.refuse(RefusalError("Unauthorized", status=401))
        elif self.state.failure is not None:
            status, headers, body = self.state.failure
            self.set_status(status)
            for name, value in headers.items():
                self.set_header(name, value)
            self.finish(body)

    def refuse(self, refusal: RefusalError) -> None:
        self.state.refusals.append(refusal.message)
        self.set_status(refusal.status)
        self.finish(refusal.body())

    @override
    def log_exception(self, *_arguments: Any) -> None:
        """Leave the log to the test."""


class _Models(_Handler):
    @override
    def get(self) -> None:
        name = self.state.model
        card = {"id": name, "object": "model", "created": 1, "owned_by": "vllm", "root": name}
        self.finish({"object": "list", "data": [{**card, "parent": None, "max_model_len": CONTEXT_LENGTH}]})


class _Completions(_Handler):
    _task: asyncio.Task[None] | None = None

    @override
    async def post(self) -> None:
        body = json.loads(self.request.body)
        try:
            check_completion(body, model=self.state.model, context_length=CONTEXT_LENGTH)
        except RefusalError as refusal:
            self.refuse(refusal)
            return
        self.state.bodies.append(body)
        self._task = asyncio.ensure_future(self._answer(body))
        await asyncio.gather(self._task, return_exceptions=True)

    @override
    def on_connection_close(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _answer(self, body: dict[str, Any]) -> None:
        self.set_header("Content-Type", "text/event-stream; charset=utf-8")
        num_sent = 0
        async with aclosing(_chunks(self.state.engine, body)) as chunks:
            async for chunk in chunks:
                if num_sent == self.state.cuts_after:
                    connection: Any = self.request.connection
                    connection.stream.close()
                    return
                self.write(f"data: {json.dumps(chunk, ensure_ascii=False)}\n\n")
                await self.flush()
                num_sent += 1
        self.write("data: [DONE]\n\n")
        await self.finish()


def _generation_request(body: dict[str, Any]) -> GenerationRequest:
    stops = [*body["stop_token_ids"], *_GENERATION_CONFIG_STOPS]
    names = ("temperature", "top_p", "min_p", "presence_penalty", "frequency_penalty", "repetition_penalty")
    return GenerationRequest(
        request_id=body["request_id"],
        prompt_token_ids=tuple(body["prompt"]),
        max_tokens=body["max_tokens"],
        stop_token_ids=tuple(dict.fromkeys(stops)),
        num_logprobs=body.get("logprobs"),
        sampling=SamplingParams(seed=body.get("seed"), **{name: body[name] for name in names}),
    )


async def _chunks(engine: Engine, body: dict[str, Any]) -> AsyncGenerator[dict[str, Any], None]:
    head = {"id": f"cmpl-{body['request_id']}", "object": "text_completion", "created": 1, "model": MODEL}
    num_tokens = num_cached = 0
    try:
        async with aclosing(_tokens(engine, _generation_request(body))) as outputs:
            async for output in outputs:
                num_cached = max(num_cached, output.num_cached_tokens)
                yield {**head, "choices": [_choice(output, body, is_first=num_tokens == 0)]}
                num_tokens += len(output.token_ids)
    except GptOssError as error:
        # create_streaming_error_response: the frame before [DONE].
        yield {"error": {"message": str(error), "type": "InternalServerError", "param": None, "code": 500}}
        return
    usage = {"prompt_tokens": len(body["prompt"]), "completion_tokens": num_tokens}
    total = sum(usage.values())
    details = {"cached_tokens": num_cached}  # --enable-prompt-tokens-details
    yield {
        **head,
        "choices": [],
        "usage": {**usage, "total_tokens": total, "prompt_tokens_details": details},
    }


async def _tokens(engine: Engine, request: GenerationRequest) -> AsyncGenerator[TokenOutput, None]:
    async with aclosing(engine.generate(request)) as outputs:
        async for output in outputs:
            if isinstance(output, TokenOutput):
                yield output


def _choice(output: TokenOutput, body: dict[str, Any], *, is_first: bool) -> dict[str, Any]:
    reason = output.finish_reason
    is_asked_stop = reason is FinishReason.STOP and output.token_ids[-1] in body["stop_token_ids"]
    return {
        "index": 0,
        "text": "\u2028" * len(output.token_ids),  # what no line may be split at
        "logprobs": _logprobs(output) if body.get("logprobs") is not None else None,
        "finish_reason": None if reason is None else reason.value,
        "stop_reason": output.token_ids[-1] if is_asked_stop else None,
        "prompt_token_ids": body["prompt"] if is_first else None,
        "token_ids": list(output.token_ids),
    }


def _logprobs(output: TokenOutput) -> dict[str, Any]:
    def names(token_id: int, logprobs: TokenLogprobs) -> dict[str, float]:
        # The sampled token first, then the likeliest; it may be one of them.
        return {f"token_id:{each}": value for each, value in ((token_id, logprobs.logprob), *logprobs.top)}

    pairs = list(zip(output.token_ids, output.logprobs, strict=True))
    return {
        "text_offset": list(range(len(pairs))),
        "token_logprobs": [logprobs.logprob for _, logprobs in pairs],
        "tokens": [f"token_id:{token_id}" for token_id, _ in pairs],
        "top_logprobs": [names(token_id, logprobs) for token_id, logprobs in pairs],
    }
