"""The engine process, supervised: requests to frames, frames to each request's outputs.

Starts `python -m jupyter_mlx_gpt_oss.worker` on first use and is the only owner of that process. Everything here
runs on one asyncio event loop; nothing here imports MLX. A process that ends, or falls silent while it has work,
is replaced by a new one, in which every open request goes on where it was.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator
from dataclasses import replace

from jupyter_mlx_gpt_oss.engine.base import EngineState, EngineStatus, ModelInfo
from jupyter_mlx_gpt_oss.engine.config import EngineConfig
from jupyter_mlx_gpt_oss.engine.frames import (
    Abort,
    Command,
    Generate,
    Loaded,
    LoadFailed,
    LoadProgress,
    Precompute,
    Report,
    RequestFailed,
    Start,
    StepDone,
)
from jupyter_mlx_gpt_oss.engine.loading_log import LoadingLog
from jupyter_mlx_gpt_oss.engine.news import failure, load_failure, news
from jupyter_mlx_gpt_oss.engine.open_requests import OpenRequests, check_prompt
from jupyter_mlx_gpt_oss.engine.request import (
    FinishReason,
    GenerationRequest,
    Progress,
    ProgressStage,
    TokenOutput,
)
from jupyter_mlx_gpt_oss.engine.stream import Stream
from jupyter_mlx_gpt_oss.engine.throughput import Throughput
from jupyter_mlx_gpt_oss.engine.worker_connection import WorkerConnection
from jupyter_mlx_gpt_oss.errors import (
    EngineDeadError,
    EngineError,
    RequestError,
)

_log = logging.getLogger(__name__)
_LOADING_PATIENCE = 10  # times the stall timeout: a slow disk reports less often than a step
_MAX_BACKOFF_SECONDS = 30.0
_UNLOADED = "The model was unloaded. Send the request again to load it."


class EngineProcess:
    """Implements `engine.base.Engine` with a worker process."""

    def __init__(self, config: EngineConfig) -> None:
        self._config = self._loaded_config = config
        self._worker: WorkerConnection | None = None
        self._reader: asyncio.Task[None] | None = None
        self._restarting: asyncio.Task[None] | None = None
        self._loaded: asyncio.Future[ModelInfo] | None = None
        self._requests = OpenRequests(config, time.monotonic)
        self._throughput = Throughput(time.monotonic)
        self._loading_log = LoadingLog()
        self._status = EngineStatus(state=EngineState.UNLOADED)
        self._change = asyncio.Lock()
        self._opening: asyncio.Task[WorkerConnection] | None = None
        self._idle_timer: asyncio.TimerHandle | None = None
        self._unloading: asyncio.Task[None] | None = None
        self._num_restarts = 0
        self._num_crashes_in_a_row = 0

    def status(self) -> EngineStatus:
        """Return a snapshot."""
        return replace(
            self._status,
            num_waiting=self._status.num_waiting + self._requests.num_unsent,
            num_restarts=self._num_restarts,
            tokens_per_second=self._throughput.tokens_per_second(),
        )

    async def load(self, model: str | None = None) -> ModelInfo:
        """Load the model if it is not loaded, or switch to another. See `Engine.load`."""
        if model is not None and model != self._config.model:
            await self.unload()
            self._config = replace(self._config, model=model)
        config = self._config
        try:
            loaded = await self._start()
            assert loaded is not None
            return await asyncio.shield(loaded)
        except EngineError:
            if self._config is config:  # else another model has been asked for meanwhile
                self._config = self._loaded_config
            raise

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[Progress | TokenOutput, None]:
        """Generate one answer. See `Engine.generate`."""
        if self._status.model is not None:
            check_prompt(request, self._status.model)
        stream = self._requests.open(request)
        self._cancel_idle_timer()
        try:
            if self._worker is None and self._config.hostfile:
                yield Progress(stage=ProgressStage.LOADING)  # ranks may take minutes to find each other
            # A restart sends all that wait, once it has a process.
            if self._worker is not None or not self._is_restarting:
                loaded = await self._start(stream)
                if loaded is not None and loaded.done() and not loaded.exception():
                    self._send(stream)
            while True:
                news = await stream.next()
                yield news
                if isinstance(news, TokenOutput) and news.finish_reason is not None:
                    return
        finally:
            self._close(stream)

    def abort(self, request_id: str) -> None:
        """Stop a request; its iterator ends with FinishReason.ABORT. Unknown ids are ignored."""
        self._requests.tell(request_id, TokenOutput(token_ids=(), finish_reason=FinishReason.ABORT))
        self._look_for_fault()

    def precompute(self, prompt_token_ids: tuple[int, ...]) -> None:
        """Read a prompt ahead while there is nothing else to do. See `Engine.precompute`."""
        model = self._status.model
        if model is not None and len(prompt_token_ids) < model.context_length:
            self._post(Precompute(prompt_token_ids))

    async def unload(self) -> None:
        """Give all memory of the model back; open requests end with EngineDeadError."""
        if self._opening is not None and self._opening.cancel():
            # Ranks may take minutes to find each other. Whoever starts them has the lock, and others may wait for it.
            self._requests.tell_all(EngineDeadError(_UNLOADED))
        async with self._change:
            await self._end(_UNLOADED)

    async def stop(self) -> None:
        """Unload for good; bounded in time, leaves no process behind."""
        await self.unload()

    # -- the life of the process ----------------------------------------------------------------------------------

    async def _start(self, stream: Stream | None = None) -> asyncio.Future[ModelInfo] | None:
        """Start the process if there is none; return the future of its model.

        Args:
            stream: for whom; if it has ended before it was its turn, nothing is started for it, and None returned.
        """
        async with self._change:
            if stream is not None and stream.is_finished:
                return None
            if self._worker is None:
                await self._open_worker()
            assert self._loaded is not None
            return self._loaded

    async def _open_worker(self) -> None:
        """Start the process; called with the lock."""
        if asyncio.current_task() is not self._restarting:
            self._num_crashes_in_a_row = 0
        self._cancel_idle_timer()  # it would end this loading; a loaded model starts it anew
        self._status = EngineStatus(state=EngineState.LOADING)
        self._loaded = asyncio.get_running_loop().create_future()
        self._loaded.add_done_callback(_ignore_failure)
        self._opening = asyncio.create_task(WorkerConnection.open(self._config.hostfile))
        try:
            worker = self._worker = await self._opening
        except OSError as error:
            reason = error.strerror or type(error).__name__  # its text has paths of the server
            self._status = EngineStatus(state=EngineState.FAILED, error=reason)
            raise EngineDeadError(f"The engine process cannot be started: {reason}") from error
        except asyncio.CancelledError:
            self._status = EngineStatus(state=EngineState.UNLOADED)
            self._opening.add_done_callback(_end_opened)
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise  # whoever asked first has gone; the next one starts it
            raise EngineDeadError(_UNLOADED) from None
        worker.send(Start(self._config))
        self._reader = asyncio.create_task(self._read(worker), name="gpt-oss engine reports")

    async def _read(self, worker: WorkerConnection) -> None:
        """Take the worker's reports until it ends; what it left unfinished goes on in a new one."""
        async for report in worker.reports(self._stall_seconds):
            self._take(report)
        code = await worker.close(self._config.stop_timeout_seconds)
        if self._worker is worker:
            _log.warning("the engine process ended with status %s", code)
            self._lose(code)

    def _stall_seconds(self) -> float | None:
        """Return after how much silence the worker counts as stuck; None while it has nothing to do."""
        if self._status.state is EngineState.LOADING:
            return _LOADING_PATIENCE * self._config.stall_timeout_seconds
        return self._config.stall_timeout_seconds if self._requests.unfinished else None

    def _lose(self, code: int) -> None:
        """Go on after a process that ended by itself: resume what can be resumed in a new one."""
        dead = EngineDeadError(f"The engine process ended unexpectedly (status {code}). Try again.")
        is_first_load = self._status.state is EngineState.LOADING and not self._num_crashes_in_a_row
        if is_first_load:  # it would end the same way again
            self._forget(
                EngineDeadError(
                    f"The engine process ended while it loaded the model (status {code}). The memory may be too "
                    "small for the model; close other programs or choose a smaller one."
                )
            )
            return
        self._worker = self._reader = None
        self._status = EngineStatus(state=EngineState.UNLOADED)
        if self._loaded is not None and not self._loaded.done():
            self._loaded.set_exception(dead)
        if self._requests.resume(dead):
            self._restarting = asyncio.create_task(self._restart(), name="gpt-oss engine restart")

    @property
    def _is_restarting(self) -> bool:
        return self._restarting is not None and not self._restarting.done()

    async def _restart(self) -> None:
        delay = _backoff_seconds(self._num_crashes_in_a_row)
        self._num_crashes_in_a_row += 1
        await asyncio.sleep(delay)
        if not self._requests.unfinished:
            return  # nobody waits any more
        self._num_restarts += 1
        try:
            await self._start()
        except EngineDeadError as error:
            self._forget(error)

    async def _end(self, reason: str) -> None:
        """End the process on purpose, and whatever waits for it."""
        worker, reader, restarting = self._worker, self._reader, self._restarting
        self._requests.forget_crashes()
        self._forget(EngineDeadError(reason))
        self._status = EngineStatus(state=EngineState.UNLOADED)
        for task in (restarting, reader):
            if task is not None and task is not asyncio.current_task():
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        if worker is not None:
            await worker.close(self._config.stop_timeout_seconds)

    def _forget(self, error: EngineError) -> None:
        """Let go of the process and end everything that waits for it."""
        is_failure = self._status.state is EngineState.LOADING
        state = EngineState.FAILED if is_failure else EngineState.UNLOADED
        self._worker = self._reader = self._restarting = None
        self._status = EngineStatus(state=state, error=str(error) if is_failure else None)
        if self._loaded is not None and not self._loaded.done():
            self._loaded.set_exception(error)
        self._requests.tell_all(error)

    # -- requests -------------------------------------------------------------------------------------------------

    def _send(self, stream: Stream) -> None:
        """Send a new request, unless others that wait have to be looked at one by one."""
        if not self._requests.is_careful:
            self._hand_over(stream)
        self._look_for_fault()

    def _look_for_fault(self) -> None:
        """After crashes: send the next request, if the one that was sent last has got on or is over."""
        if self._requests.is_careful:
            self._send_due()

    def _send_due(self) -> None:
        """Send what the worker shall have by now; without one, the next one is sent it."""
        while self._worker is not None and self._status.model is not None and (due := self._requests.due()):
            for stream in due:
                self._hand_over(stream)

    def _hand_over(self, stream: Stream) -> None:
        """Send a request that the model can read; where there is none any more, it was told so or goes to the next one."""
        if self._worker is None or self._status.model is None:
            return
        try:
            check_prompt(stream.request, self._status.model)
        except RequestError as error:
            stream.tell(error)
            return
        stream.is_sent = True
        self._post(Generate(stream.request))

    def _post(self, command: Command) -> None:
        if self._worker is not None:
            self._worker.send(command)

    def _close(self, stream: Stream) -> None:
        """Forget a request, and have the worker forget it; called from every exit of `generate`."""
        self._requests.close(stream)
        if stream.is_sent:
            self._post(Abort(stream.request.request_id))
        self._look_for_fault()
        self._await_requests()

    def _await_requests(self) -> None:
        """Unload the model if nobody asks for a while, where the options say so."""
        seconds = self._config.idle_unload_seconds
        self._cancel_idle_timer()
        if seconds and not self._requests:
            self._idle_timer = asyncio.get_running_loop().call_later(seconds, self._begin_idle_unload)

    def _cancel_idle_timer(self) -> None:
        if self._idle_timer is not None:
            self._idle_timer.cancel()

    def _begin_idle_unload(self) -> None:
        self._unloading = asyncio.create_task(self._unload_idle(), name="gpt-oss idle unload")

    async def _unload_idle(self) -> None:
        async with self._change:
            is_loaded = self._status.state is EngineState.READY
            if is_loaded and not self._requests:  # one may have come between the timer and this task
                _log.info("the model is unloaded: no request for %.0f s", self._config.idle_unload_seconds)
                await self._end(_UNLOADED)

    # -- reports --------------------------------------------------------------------------------------------------

    def _take(self, report: Report) -> None:
        match report:
            case LoadProgress(progress=progress):
                self._loading_log.note(progress)
                self._status = replace(self._status, progress=progress)
                self._requests.tell_all(progress)
            case Loaded(model=model):
                self._take_loaded(model)
            case LoadFailed(code=code, message=message):
                self._forget(load_failure(code, message))
            case RequestFailed(request_id=request_id):
                self._requests.tell(request_id, failure(report))
                self._look_for_fault()
            case StepDone():
                self._take_step(report)

    def _take_loaded(self, model: ModelInfo) -> None:
        assert self._loaded is not None
        self._loading_log.end(model)
        self._loaded_config = self._config
        self._status = EngineStatus(state=EngineState.READY, model=model, memory_bytes=model.weight_bytes)
        self._loaded.set_result(model)
        self._send_due()
        self._await_requests()

    def _take_step(self, report: StepDone) -> None:
        has_computed = report.step_seconds > 0  # else it tells of a queue that has changed
        if has_computed:
            self._num_crashes_in_a_row = 0
        self._status = replace(
            self._status,
            num_running=report.num_running,
            num_waiting=report.num_waiting,
            memory_bytes=report.memory_bytes,
            live_kv_bytes=report.live_kv_bytes,
            prefix_cache_bytes=report.prefix_cache_bytes,
            snapshot_bytes=report.snapshot_bytes,
            step_seconds=report.step_seconds if has_computed else self._status.step_seconds,
        )
        self._throughput.add(sum(len(output.token_ids) for output in report.outputs))
        for output in report.outputs:
            self._requests.tell(output.request_id, news(output))
        if has_computed:
            self._requests.note_step()
        self._look_for_fault()


def _backoff_seconds(num_crashes: int) -> float:
    """Return how long to wait after so many crashes without a computed step between them."""
    return min(_MAX_BACKOFF_SECONDS, 2.0**num_crashes - 1)


def _end_opened(opening: "asyncio.Task[WorkerConnection]") -> None:
    """End a process that was started just when nobody wanted it any more."""
    if not opening.cancelled() and not opening.exception():
        opening.result().kill()


def _ignore_failure(loaded: asyncio.Future[ModelInfo]) -> None:
    """Mark a failure as seen: it is told to each stream, and nobody may be waiting for the future itself."""
    if not loaded.cancelled():
        loaded.exception()
