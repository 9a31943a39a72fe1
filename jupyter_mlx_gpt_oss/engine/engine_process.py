"""The engine process, supervised: requests to frames, frames to each request's outputs.

Starts `python -m jupyter_mlx_gpt_oss.worker` on first use and is the only owner of that process. Everything here
runs on one asyncio event loop; nothing here imports MLX. A process that ends, or falls silent while it has work,
ends every open request with EngineDeadError, and the next request starts a new one.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field, replace

from jupyter_mlx_gpt_oss.engine.base import EngineState, EngineStatus, ModelInfo
from jupyter_mlx_gpt_oss.engine.config import EngineConfig
from jupyter_mlx_gpt_oss.engine.frames import (
    Abort,
    Command,
    Generate,
    Loaded,
    LoadFailed,
    LoadProgress,
    Report,
    RequestFailed,
    RequestOutput,
    Start,
    StepDone,
)
from jupyter_mlx_gpt_oss.engine.request import (
    FinishReason,
    GenerationRequest,
    Progress,
    TokenOutput,
)
from jupyter_mlx_gpt_oss.engine.throughput import Throughput
from jupyter_mlx_gpt_oss.engine.worker_connection import WorkerConnection
from jupyter_mlx_gpt_oss.errors import (
    ContextLengthError,
    EngineDeadError,
    EngineError,
    GenerationError,
    GptOssError,
    InvalidRequestError,
    ModelLoadError,
    OutOfMemoryError,
    QueueFullError,
    RequestError,
)

_log = logging.getLogger(__name__)
_LOADING_PATIENCE = 10  # times the stall timeout: a slow disk reports less often than a step
_ERRORS: dict[str, type[EngineError]] = {
    error.code: error for error in (ModelLoadError, OutOfMemoryError, GenerationError)
}


@dataclass(slots=True)
class _Stream:
    """One open request: what its iterator reads, and whether the worker has it."""

    request: GenerationRequest
    news: asyncio.Queue[Progress | TokenOutput | GptOssError] = field(default_factory=asyncio.Queue)
    is_sent: bool = False


class EngineProcess:
    """Implements `engine.base.Engine` with a worker process."""

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        self._worker: WorkerConnection | None = None
        self._reader: asyncio.Task[None] | None = None
        self._loaded: asyncio.Future[ModelInfo] | None = None
        self._streams: dict[str, _Stream] = {}
        self._throughput = Throughput(time.monotonic)
        self._status = EngineStatus(state=EngineState.UNLOADED)
        self._change = asyncio.Lock()

    def status(self) -> EngineStatus:
        """Return a snapshot."""
        waiting = sum(not stream.is_sent for stream in self._streams.values())
        return replace(
            self._status,
            num_waiting=self._status.num_waiting + waiting,
            tokens_per_second=self._throughput.tokens_per_second(),
        )

    async def load(self, model: str | None = None) -> ModelInfo:
        """Load the model if it is not loaded, or switch to another. See `Engine.load`."""
        if model is not None and model != self._config.model:
            await self.unload()
            self._config = replace(self._config, model=model)
        return await asyncio.shield(await self._start())

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[Progress | TokenOutput, None]:
        """Generate one answer. See `Engine.generate`."""
        limit = self._config.max_running_requests + self._config.max_waiting_requests
        if len(self._streams) >= limit:
            raise QueueFullError(
                f"{len(self._streams)} requests are running or waiting, and no more than {limit} may. Try again soon."
            )
        if self._status.model is not None:
            self._check_prompt(request, self._status.model)
        stream = self._streams[request.request_id] = _Stream(request)
        try:
            loaded = await self._start()
            if loaded.done() and not loaded.exception():
                self._send(stream)
            while True:
                news = await stream.news.get()
                if isinstance(news, GptOssError):
                    raise news
                yield news
                if isinstance(news, TokenOutput) and news.finish_reason is not None:
                    return
        finally:
            self._close(request.request_id)

    def abort(self, request_id: str) -> None:
        """Stop a request; its iterator ends with FinishReason.ABORT. Unknown ids are ignored."""
        self._tell(request_id, TokenOutput(token_ids=(), finish_reason=FinishReason.ABORT))

    async def unload(self) -> None:
        """Give all memory of the model back; open requests end with EngineDeadError."""
        async with self._change:
            await self._end("The model was unloaded. Send the request again to load it.")

    async def stop(self) -> None:
        """Unload for good; bounded in time, leaves no process behind."""
        await self.unload()

    # -- the life of the process ----------------------------------------------------------------------------------

    async def _start(self) -> asyncio.Future[ModelInfo]:
        """Start the process if there is none; return the future of its model."""
        async with self._change:
            if self._worker is None:
                self._status = EngineStatus(state=EngineState.LOADING)
                self._loaded = asyncio.get_running_loop().create_future()
                self._loaded.add_done_callback(
                    asyncio.Future.exception
                )  # a failure is also told to each stream
                try:
                    self._worker = await WorkerConnection.open()
                except OSError as error:
                    self._status = EngineStatus(state=EngineState.FAILED, error=str(error))
                    raise EngineDeadError(f"The engine process cannot be started: {error}") from error
                self._worker.send(Start(self._config))
                self._reader = asyncio.create_task(self._read(self._worker), name="gpt-oss engine reports")
            assert self._loaded is not None
            return self._loaded

    async def _read(self, worker: WorkerConnection) -> None:
        """Take the worker's reports until it ends, then tell everybody who waits."""
        async for report in worker.reports(self._stall_seconds):
            self._take(report)
        code = await worker.close(self._config.stop_timeout_seconds)
        if self._worker is worker:
            _log.warning("the engine process ended with status %s", code)
            self._forget(
                EngineDeadError(f"The engine process ended unexpectedly (status {code}). Try again.")
            )

    def _stall_seconds(self) -> float | None:
        """Return after how much silence the worker counts as stuck; None while it has nothing to do."""
        if self._status.state is EngineState.LOADING:
            return _LOADING_PATIENCE * self._config.stall_timeout_seconds
        return self._config.stall_timeout_seconds if self._streams else None

    async def _end(self, reason: str) -> None:
        worker, reader = self._worker, self._reader
        if worker is None:
            return
        self._forget(EngineDeadError(reason))
        self._status = EngineStatus(state=EngineState.UNLOADED)
        await worker.close(self._config.stop_timeout_seconds)
        if reader is not None:
            reader.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await reader

    def _forget(self, error: EngineError) -> None:
        """Let go of the process and end everything that waits for it; the one exit of all of them."""
        is_failure = self._status.state is EngineState.LOADING
        state = EngineState.FAILED if is_failure else EngineState.UNLOADED
        self._worker = self._reader = None
        self._status = EngineStatus(state=state, error=str(error) if is_failure else None)
        if self._loaded is not None and not self._loaded.done():
            self._loaded.set_exception(error)
        for stream in self._streams.values():
            stream.news.put_nowait(error)

    # -- requests -------------------------------------------------------------------------------------------------

    def _send(self, stream: _Stream) -> None:
        if self._worker is None or self._status.model is None:
            return  # the process has ended meanwhile, and the stream was told so
        try:
            self._check_prompt(stream.request, self._status.model)
        except RequestError as error:
            stream.news.put_nowait(error)
            return
        stream.is_sent = True
        self._post(Generate(stream.request))

    def _post(self, command: Command) -> None:
        if self._worker is not None:
            self._worker.send(command)

    def _close(self, request_id: str) -> None:
        """Forget a request, and have the worker forget it; called from every exit of `generate`."""
        stream = self._streams.pop(request_id)
        if stream.is_sent:
            self._post(Abort(request_id))

    @staticmethod
    def _check_prompt(request: GenerationRequest, model: ModelInfo) -> None:
        if len(request.prompt_token_ids) >= model.context_length:
            raise ContextLengthError(len(request.prompt_token_ids), model.context_length)
        # An id without a row in the embedding table is memory that is not ours: MLX does not check.
        if not all(0 <= token_id < model.vocabulary_size for token_id in request.prompt_token_ids):
            raise InvalidRequestError(
                f"The prompt holds a token id outside 0 to {model.vocabulary_size - 1}, the model's vocabulary.",
                param="prompt",
            )

    # -- reports --------------------------------------------------------------------------------------------------

    def _take(self, report: Report) -> None:
        match report:
            case LoadProgress(progress=progress):
                for stream in self._streams.values():
                    stream.news.put_nowait(progress)
            case Loaded(model=model):
                self._take_loaded(model)
            case LoadFailed(code=code, message=message):
                self._forget(_ERRORS.get(code, ModelLoadError)(message))
            case RequestFailed(request_id=request_id, code=code, message=message):
                self._tell(request_id, _ERRORS.get(code, GenerationError)(message))
            case StepDone():
                self._take_step(report)

    def _take_loaded(self, model: ModelInfo) -> None:
        assert self._loaded is not None
        _log.info(
            "model %s is ready: %s, context of %d tokens",
            model.name,
            model.quantization,
            model.context_length,
        )
        self._status = EngineStatus(state=EngineState.READY, model=model, memory_bytes=model.weight_bytes)
        self._loaded.set_result(model)
        for stream in self._streams.values():
            self._send(stream)

    def _take_step(self, report: StepDone) -> None:
        self._status = replace(
            self._status,
            num_running=report.num_running,
            num_waiting=report.num_waiting,
            memory_bytes=report.memory_bytes,
        )
        self._throughput.add(sum(len(output.token_ids) for output in report.outputs))
        for output in report.outputs:
            self._tell(output.request_id, _news(output))

    def _tell(self, request_id: str, news: Progress | TokenOutput | GptOssError) -> None:
        if stream := self._streams.get(request_id):  # a request aborted meanwhile has no stream any more
            stream.news.put_nowait(news)


def _news(output: RequestOutput) -> Progress | TokenOutput:
    if output.progress is not None:
        return output.progress
    return TokenOutput(
        token_ids=output.token_ids,
        finish_reason=output.finish_reason,
        num_cached_tokens=output.num_cached_tokens,
    )
