"""Somebody else's engine behind this package's door: prompt token ids out, token ids back, over HTTP.

Speaks the completions route that vLLM documents and that this package serves. Everything above the engine stays here:
Harmony, tools, reasoning, the API. Imports no MLX, and runs where there is none.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

from jupyter_mlx_gpt_oss.engine.base import REMOTE, EngineState, EngineStatus, ModelInfo
from jupyter_mlx_gpt_oss.engine.remote_config import RemoteConfig
from jupyter_mlx_gpt_oss.engine.remote_router import Router
from jupyter_mlx_gpt_oss.engine.remote_server import Output, RemoteServer, make_client
from jupyter_mlx_gpt_oss.engine.remote_wire import RemoteModel
from jupyter_mlx_gpt_oss.engine.request import FinishReason, GenerationRequest, TokenOutput
from jupyter_mlx_gpt_oss.engine.throughput import Throughput
from jupyter_mlx_gpt_oss.errors import (
    ContextLengthError,
    EngineDeadError,
    GptOssError,
    InvalidRequestError,
    ModelLoadError,
    ModelNotFoundError,
    QueueFullError,
    RemoteEngineError,
)
from jupyter_mlx_gpt_oss.vocabulary import NUM_TOKENS

_log = logging.getLogger(__name__)
_SERVER_FAULTS = (EngineDeadError, ModelLoadError, RemoteEngineError)


@dataclass(slots=True)
class _Attempt:
    """How far one server came with a request."""

    is_begun: bool = False
    error: GptOssError | None = None


class RemoteEngine:
    """Implements `engine.base.Engine` with one or several servers.

    A server that does not answer is out of rotation until it does again. A request that it has not begun to answer goes to
    the next one; an answer that breaks off ends with EngineDeadError, since no other server would go on with the same.

    Args:
        config: where the servers are.
    """

    def __init__(self, config: RemoteConfig) -> None:
        self._config = config
        self._name = self._asked_name = config.model
        """The model that all servers must have, and the one that was asked for; empty: whichever answers first says it."""
        self._client = make_client(config)
        self._servers = [RemoteServer(url, self._client, config) for url in config.urls]
        self._router = Router(self._servers)
        self._open: dict[str, asyncio.Future[None]] = {}
        """For each open request, what is done when it is aborted."""
        self._throughput = Throughput(time.monotonic)
        self._status = EngineStatus(state=EngineState.UNLOADED)
        self._watching: asyncio.Task[None] | None = None

    def status(self) -> EngineStatus:
        """Return a snapshot: of the requests of this process, for the servers may have others."""
        return replace(
            self._status,
            num_running=len(self._open),
            tokens_per_second=self._throughput.tokens_per_second(),
        )

    async def load(self, model: str | None = None) -> ModelInfo:
        """Find the model on a server. See `Engine.load`; a remote engine loads no other than it serves."""
        if model is not None:
            self._name = self._asked_name = await self._found_name(model)
        if self._status.model is None:
            await self._first_answering()
        assert self._status.model is not None
        return self._status.model

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[Output, None]:
        """Generate one answer. See `Engine.generate`."""
        if len(self._open) >= self._config.max_open_requests:
            message = f"{len(self._open)} requests are open, and no more may be. Try again soon."
            raise QueueFullError(message)
        if not all(0 <= token_id < NUM_TOKENS for token_id in request.prompt_token_ids):
            message = f"The prompt holds a token id outside 0 to {NUM_TOKENS - 1}, the model's vocabulary."
            raise InvalidRequestError(message, param="prompt")
        aborted = self._open[request.request_id] = asyncio.get_running_loop().create_future()
        try:
            async with aclosing(_until(aborted, self._outputs(request))) as outputs:
                async for output in outputs:
                    self._throughput.add(len(output.token_ids) if isinstance(output, TokenOutput) else 0)
                    yield output
        finally:
            del self._open[request.request_id]

    def abort(self, request_id: str) -> None:
        """Stop a request; its iterator ends with FinishReason.ABORT. Unknown ids are ignored."""
        aborted = self._open.get(request_id)
        if aborted is not None and not aborted.done():
            aborted.set_result(None)

    def precompute(self, prompt_token_ids: tuple[int, ...]) -> None:
        """Do nothing: the servers may have other callers, who wait for what they asked."""

    async def unload(self) -> None:
        """Let go of the servers; open requests end with EngineDeadError. Their models stay, for others."""
        self._status = EngineStatus(state=EngineState.UNLOADED)
        for aborted in self._open.values():
            if not aborted.done():
                message = "The remote engine was let go. Send the request again to go back to it."
                aborted.set_exception(EngineDeadError(message))
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
            self._watching = None
        for server in self._servers:  # asked anew, as if nothing had been known of them
            server.model, server.is_healthy = None, True
        self._name = self._asked_name

    async def stop(self) -> None:
        """Let go for good."""
        await self.unload()
        await self._client.aclose()

    # -- servers --------------------------------------------------------------------------------------------------

    async def _outputs(self, request: GenerationRequest) -> AsyncGenerator[Output, None]:
        """Yield what the first server gives that answers."""
        refused: GptOssError | None = None
        for server in self._router.order(request):
            attempt = _Attempt()
            async with aclosing(self._attempt(server, request, attempt)) as outputs:
                async for output in outputs:
                    yield output
            if attempt.error is None:
                return
            if attempt.is_begun:
                raise attempt.error
            refused = refused or attempt.error
        assert refused is not None
        raise refused

    async def _attempt(
        self, server: RemoteServer, request: GenerationRequest, attempt: "_Attempt"
    ) -> AsyncGenerator[Output, None]:
        """Yield what one server gives; an error that another server may not have is noted, not raised."""
        try:
            model = (server.model if server.is_healthy else None) or await self._look(server)
            self._router.remember(request, server)
            async with aclosing(server.outputs(request, model)) as outputs:
                async for output in outputs:
                    attempt.is_begun = attempt.is_begun or isinstance(output, TokenOutput)
                    yield output
        except QueueFullError as error:
            attempt.error = error
        except ContextLengthError:
            server.model = None  # it may have another context by now than it told of
            raise
        except _SERVER_FAULTS as error:
            attempt.error = error
            self._lose(server, error)

    async def _look(self, server: RemoteServer) -> RemoteModel:
        """Ask a server for the model; it is in rotation from then on."""
        while True:
            asked = self._name
            model = await self._told_by(server, asked)
            if self._name in {asked, model.name}:
                break
            server.model = None  # another one was chosen meanwhile
        if not server.is_healthy:
            _log.info("the remote engine at %s is back", server.url)
        server.is_healthy = True
        self._name = self._name or model.name  # what the first has, the others must have
        self._status = EngineStatus(state=EngineState.READY, model=_info(model))
        return model

    async def _told_by(self, server: RemoteServer, name: str) -> RemoteModel:
        """Ask a server for a model; the one whose model all have had so far may have changed it, where no other answers."""
        try:
            return await server.look(name)
        except ModelLoadError:
            is_alone = not any(each.is_healthy for each in self._servers if each is not server)
            if self._asked_name or server.last_name != name or not is_alone:
                raise
            model = await server.look("")
            self._name = model.name
            return model

    async def _first_answering(self) -> None:
        refused: GptOssError | None = None
        for server in self._servers:
            try:
                await self._look(server)
            except _SERVER_FAULTS as error:
                self._lose(server, error)
                refused = refused or error
            else:
                return
        assert refused is not None
        raise refused

    async def _found_name(self, name: str) -> str:
        """Return a model's name if any server serves it."""
        refused: GptOssError | None = None
        for server in self._servers:
            try:
                found = await server.look(name)
            except ModelLoadError as error:  # the server has loaded what it has, and this is not it
                refused = refused or ModelNotFoundError(error.message, param="model")
            except _SERVER_FAULTS as error:
                refused = refused or error
            else:
                self._status = EngineStatus(state=EngineState.READY, model=_info(found))
                self._forget_models(but_of=server)
                return name
        assert refused is not None
        raise refused

    def _forget_models(self, but_of: RemoteServer) -> None:
        """Have the other servers tell their models anew: they may have told of another."""
        for server in self._servers:
            if server is not but_of:
                server.model = None

    def _lose(self, server: RemoteServer, error: GptOssError) -> None:
        """Take a server out of rotation, and ask it now and then whether it is back."""
        if server.is_healthy:
            _log.warning("the remote engine at %s is out of rotation: %s", server.url, error.message)
        server.is_healthy = False
        if not any(each.is_healthy for each in self._servers):
            self._status = EngineStatus(state=EngineState.FAILED, error=error.message)
        if self._watching is None or self._watching.done():
            self._watching = asyncio.create_task(self._watch(), name="gpt-oss remote health")

    async def _watch(self) -> None:
        while out := [server for server in self._servers if not server.is_healthy]:
            await asyncio.sleep(self._config.health_interval_seconds)
            for server in out:
                try:
                    await self._look(server)
                except _SERVER_FAULTS as error:
                    _log.debug("%s is not back: %s", server.url, error.message)


async def _until(
    aborted: asyncio.Future[None], outputs: AsyncGenerator[Output, None]
) -> AsyncGenerator[Output, None]:
    """Yield the outputs, or an end as soon as the request is aborted; closes the outputs at the end."""
    coming: asyncio.Future[Output | None] | None = None
    try:
        while True:
            coming = asyncio.ensure_future(anext(outputs, None))
            either: set[asyncio.Future[Any]] = {coming, aborted}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if aborted.done():
                aborted.result()
                yield TokenOutput(token_ids=(), finish_reason=FinishReason.ABORT)
                return
            output = coming.result()
            if output is None:
                return
            yield output
    finally:
        if coming is not None:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)
        await outputs.aclose()


def _info(model: RemoteModel) -> ModelInfo:
    return ModelInfo(
        name=model.name,
        context_length=model.context_length,
        quantization=model.quantization,
        vocabulary_size=NUM_TOKENS,
        is_demo=model.is_demo,
        weight_bytes=0,
        device=REMOTE,
    )
