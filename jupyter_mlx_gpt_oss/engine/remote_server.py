"""One server that generates: HTTP requests to outputs. Knows no other servers and nothing of conversations.

Source: vLLM, "OpenAI-Compatible Server"; WHATWG HTML, section 9.2.6, for the lines of a stream.
"""

import json
import ssl
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from dataclasses import replace
from typing import Any

import httpx
import msgspec

from jupyter_mlx_gpt_oss.engine.remote_config import RemoteConfig
from jupyter_mlx_gpt_oss.engine.remote_failures import error_of, lost
from jupyter_mlx_gpt_oss.engine.remote_wire import (
    Chunk,
    ModelList,
    RemoteModel,
    completion_body,
    read_output,
)
from jupyter_mlx_gpt_oss.engine.request import GenerationRequest, Progress, ProgressStage, TokenOutput
from jupyter_mlx_gpt_oss.errors import ModelLoadError, RemoteEngineError

_PROGRESS = b": gpt-oss "  # this package's servers tell how far they are in comments
_DATA = b"data:"
_USUAL_CONTEXT_LENGTH = 131_072  # openai/gpt-oss model card; a server of this package clamps to its own
_MAX_LINE_BYTES = 16 * 1024 * 1024

Output = Progress | TokenOutput


def make_client(config: RemoteConfig) -> httpx.AsyncClient:
    """Return the HTTP client of all servers; belongs to the loop that first uses it.

    Raises:
        ModelLoadError: a file of TLS cannot be read.
    """
    # A connection for each request: closing it is how a request is aborted, and none is found closed when it is needed.
    return httpx.AsyncClient(
        headers={"Authorization": f"Bearer {config.key}"} if config.key else {},
        verify=_tls_context(config),
        timeout=httpx.Timeout(
            config.silence_timeout_seconds, connect=config.connect_timeout_seconds, pool=None
        ),
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
        trust_env=False,
    )


class RemoteServer:
    """A server and what is known of it.

    Args:
        url: its base URL.
        client: shared by all servers.
        config: of the engine.
    """

    def __init__(self, url: str, client: httpx.AsyncClient, config: RemoteConfig) -> None:
        self.url = url.rstrip("/")
        self.num_open = 0
        """Requests of this process that it works on."""
        self.is_healthy = True
        """False from a failure until it answers again."""
        self.model: RemoteModel | None = None
        """None until the server has told it whole: one of this package knows its context once it is loaded."""
        self.last_name = ""
        """Of the model that it was last found to have."""
        self._client = client
        self._config = config

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Count a request for as long as it is open."""
        self.num_open += 1
        try:
            yield
        finally:
            self.num_open -= 1

    async def look(self, name: str) -> RemoteModel:
        """Ask the server for a model by its name, an empty one for the first.

        Raises:
            EngineDeadError: it does not answer.
            RemoteEngineError: it answers with what is no list of models, or refuses the key.
            ModelLoadError: it serves another model.
        """
        try:
            response = await self._client.get(
                f"{self.url}/models", timeout=self._config.connect_timeout_seconds
            )
        except httpx.RequestError as error:
            raise lost(self.url, error) from error
        if response.status_code != httpx.codes.OK:
            told = error_of(response.status_code, response.content, response.headers)
            # Whatever it says, it cannot tell its models, and another server may.
            raise told if isinstance(told, RemoteEngineError) else lost(self.url, told.message)
        try:
            models = msgspec.json.decode(response.content, type=ModelList)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise RemoteEngineError(f"{self.url}/models is no list of models: {error}") from error
        card = models.find(name)
        if card is None:
            served = ", ".join(card.id for card in models.data)[:200]
            raise ModelLoadError(f"The remote engine serves {served or 'no model'}, and not {name[:100]!r}.")
        told_length = models.context_length(card)
        context_length = told_length or _USUAL_CONTEXT_LENGTH
        model = RemoteModel(
            name=card.id,
            context_length=min(context_length, self._config.context_length or context_length),
            quantization=card.quantization,
            is_demo=card.demo,
            is_vllm=card.owned_by == "vllm",
        )
        self.model = model if told_length else None
        self.last_name = model.name
        return model

    async def outputs(self, request: GenerationRequest, model: RemoteModel) -> AsyncGenerator[Output, None]:
        """Generate one answer; closing the iterator early closes the connection, which ends it there too.

        Raises:
            GptOssError: what the server answered, or that it was lost.
        """
        body = completion_body(request, model, self._config)
        with self.busy():
            async with aclosing(self._answer(body, request.num_logprobs)) as outputs:
                async for output in outputs:
                    yield output

    async def _answer(self, body: dict[str, Any], num_logprobs: int | None) -> AsyncGenerator[Output, None]:
        last: TokenOutput | None = None
        async with aclosing(self._frames(body)) as frames:
            async for frame in frames:
                output = frame if isinstance(frame, Progress) else read_output(frame, num_logprobs)
                if isinstance(output, TokenOutput) and output.finish_reason is not None:
                    last = output
                elif output is not None:
                    yield output
                if last is not None and isinstance(frame, Chunk) and frame.usage is not None:
                    last = replace(last, num_cached_tokens=frame.usage.num_cached_tokens)
        if last is None:
            raise lost(self.url, "the stream ended within an answer")
        yield last  # held back until the usage was known, which comes behind the last token

    async def _frames(self, body: dict[str, Any]) -> AsyncGenerator[Progress | Chunk, None]:
        async with aclosing(self._lines(body)) as lines:
            async for line in lines:
                data = line.removeprefix(_DATA).strip()
                if line.startswith(_PROGRESS):
                    yield _progress(line.removeprefix(_PROGRESS))
                elif line.startswith(_DATA) and data != b"[DONE]":
                    yield self._chunk(data)

    async def _lines(self, body: dict[str, Any]) -> AsyncGenerator[bytes, None]:
        """Yield whole lines; httpx would also split at characters that JSON may hold, such as U+2028."""
        rest = b""
        async with self._opened(body) as response:
            async for piece in response.aiter_bytes():
                *lines, rest = (rest + piece).split(b"\n")
                _check_length(rest)
                for line in lines:
                    yield line

    @asynccontextmanager
    async def _opened(self, body: dict[str, Any]) -> AsyncGenerator[httpx.Response, None]:
        try:
            async with self._client.stream("POST", f"{self.url}/completions", json=body) as response:
                await _check(response)
                yield response
        except httpx.RequestError as error:
            raise lost(self.url, error) from error

    def _chunk(self, data: bytes) -> Chunk:
        try:
            chunk = msgspec.json.decode(data, type=Chunk)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise RemoteEngineError(f"{self.url}/completions sent what is no chunk: {error}") from error
        if chunk.error is not None:
            raise error_of(httpx.codes.INTERNAL_SERVER_ERROR, data, {})
        return chunk


async def _check(response: httpx.Response) -> None:
    if response.status_code != httpx.codes.OK:
        raise error_of(response.status_code, await response.aread(), response.headers)


def _check_length(line: bytes) -> None:
    if len(line) > _MAX_LINE_BYTES:
        raise RemoteEngineError("The remote engine sent a line that does not end.")


def _progress(data: bytes) -> Progress:
    try:
        fields = json.loads(data)
        return Progress(stage=ProgressStage(fields["stage"]), done=fields["done"], total=fields["total"])
    except (ValueError, KeyError, TypeError) as error:
        raise RemoteEngineError("The remote engine sent progress that cannot be read.") from error


def _tls_context(config: RemoteConfig) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=config.ca_file or None)
        if config.certificate_file:
            context.load_cert_chain(config.certificate_file, config.certificate_key_file or None)
    except OSError as error:  # ssl.SSLError is one too
        raise ModelLoadError(f"A file of GptOssRemote's TLS options cannot be used: {error}") from error
    return context
