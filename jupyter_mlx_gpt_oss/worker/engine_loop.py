"""Commands to steps, steps to reports: joins the scheduler, the model step, the head and the sampler.

Owned by the worker's main thread. Each `step` reads as: plan, forward, sample, hand out.
"""

import logging
import secrets
from collections.abc import Callable
from typing import Any

import mlx.core as mx

from jupyter_mlx_gpt_oss.engine.config import EngineConfig
from jupyter_mlx_gpt_oss.engine.frames import (
    Abort,
    Command,
    Generate,
    Report,
    RequestFailed,
    RequestOutput,
    StepDone,
)
from jupyter_mlx_gpt_oss.engine.request import GenerationRequest, Progress, ProgressStage
from jupyter_mlx_gpt_oss.errors import GenerationError, OutOfMemoryError
from jupyter_mlx_gpt_oss.worker.model_loader import LoadedModel
from jupyter_mlx_gpt_oss.worker.model_step import Row, forward, make_caches
from jupyter_mlx_gpt_oss.worker.sampler import SamplingRow, sample
from jupyter_mlx_gpt_oss.worker.scheduler import Chunk, Scheduler
from jupyter_mlx_gpt_oss.worker.sequence import Sequence

_log = logging.getLogger(__name__)


class EngineLoop:
    """The requests of one loaded model.

    Args:
        loaded: the model.
        config: the limits.
        post: sends a report.
    """

    def __init__(self, loaded: LoadedModel, config: EngineConfig, post: Callable[[Report], None]) -> None:
        self._loaded = loaded
        self._post = post
        self._scheduler = Scheduler(
            max_running=config.max_running_requests, max_prefill_tokens=config.max_prefill_tokens
        )
        self._seeds: dict[str, int] = {}

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing to compute."""
        return not (self._scheduler.num_running or self._scheduler.num_waiting)

    def take(self, command: Command) -> None:
        """Carry out a command; takes effect with the next step."""
        match command:
            case Generate(request=request):
                self._add(request)
            case Abort(request_id=request_id):
                self._remove(request_id)
            case _:
                raise AssertionError(f"{type(command).__name__} comes once, before the model is loaded")

    def step(self) -> None:
        """Compute one step and report it. A step that fails takes its sequences with it, and only those."""
        chunks = self._scheduler.plan()
        try:
            sampled = self._compute(chunks)
        except Exception as error:  # noqa: BLE001  the worker's border: a fault becomes a report, the loop goes on
            self._fail(chunks, error)
            return
        self._report([self._hand_out(chunk, sampled) for chunk in chunks])

    def _add(self, request: GenerationRequest) -> None:
        room = self._loaded.info.context_length - len(request.prompt_token_ids)
        sequence = Sequence(request, max_tokens=min(request.max_tokens, room))
        self._scheduler.add(sequence)
        self._seeds[request.request_id] = (
            secrets.randbits(63) if request.sampling.seed is None else request.sampling.seed
        )
        ahead = self._scheduler.num_running + self._scheduler.num_waiting - 1
        progress = Progress(stage=ProgressStage.QUEUED, done=ahead)
        self._report([RequestOutput(request.request_id, progress=progress)])

    def _remove(self, request_id: str) -> None:
        self._scheduler.remove(request_id)
        self._seeds.pop(request_id, None)

    def _compute(self, chunks: list[Chunk]) -> dict[str, int]:
        """Return the sampled token of every request whose last uncomputed token is in this step."""
        rows = []
        for chunk in chunks:
            sequence = chunk.sequence
            if not sequence.caches:
                sequence.caches = make_caches(self._loaded.model)
            end = sequence.num_computed + chunk.num_tokens
            rows.append(Row(sequence.token_ids[sequence.num_computed : end], sequence.caches))
        hidden = forward(self._loaded.model, rows)
        last = [index for index, chunk in enumerate(chunks) if chunk.is_last]
        if not last:
            mx.eval(hidden)
            return {}
        sequences = [chunks[index].sequence for index in last]
        hidden = hidden if len(last) == len(chunks) else hidden[mx.array(last)]
        logits = self._loaded.head(hidden, [sequence.request.prompt_token_ids for sequence in sequences])
        tokens: Any = sample(logits, [self._sampling_row(sequence) for sequence in sequences]).tolist()
        return {sequence.request.request_id: token for sequence, token in zip(sequences, tokens, strict=True)}

    def _sampling_row(self, sequence: Sequence) -> SamplingRow:
        sampling = sequence.request.sampling
        recent = sequence.token_ids[-sampling.repetition_context_size :]
        return SamplingRow(
            sampling=sampling,
            seed=self._seeds[sequence.request.request_id],
            output_token_ids=sequence.output_token_ids,
            recent_token_ids=recent if sampling.repetition_penalty != 1.0 else (),
        )

    def _hand_out(self, chunk: Chunk, sampled: dict[str, int]) -> RequestOutput:
        """Book what a chunk has computed; return its news."""
        sequence, request_id = chunk.sequence, chunk.sequence.request.request_id
        sequence.num_computed += chunk.num_tokens
        if request_id not in sampled:
            progress = Progress(
                stage=ProgressStage.PREFILL, done=sequence.num_computed, total=sequence.num_prompt_tokens
            )
            return RequestOutput(request_id, progress=progress)
        token = sampled[request_id]
        finish_reason = sequence.append(token)
        if finish_reason is not None:
            self._remove(request_id)
        return RequestOutput(request_id, token_ids=(token,), finish_reason=finish_reason)

    def _fail(self, chunks: list[Chunk], error: Exception) -> None:
        _log.error("a step of %d sequences failed", len(chunks), exc_info=error)
        is_memory = (
            isinstance(error, MemoryError) or "allocate" in str(error) or "memory" in str(error).lower()
        )
        code = OutOfMemoryError.code if is_memory else GenerationError.code
        message = (
            "The engine ran out of memory. Shorten the conversation or send fewer requests at once."
            if is_memory
            else "The engine failed while computing this answer. Send the request again."
        )
        for chunk in chunks:
            request_id = chunk.sequence.request.request_id
            self._remove(request_id)
            self._post(RequestFailed(request_id, code, message))
        mx.clear_cache()

    def _report(self, outputs: list[RequestOutput]) -> None:
        self._post(
            StepDone(
                outputs=tuple(outputs),
                num_running=self._scheduler.num_running,
                num_waiting=self._scheduler.num_waiting,
                memory_bytes=mx.get_active_memory(),
            )
        )
