"""Commands to steps, steps to reports: joins the scheduler, the model step, the head and the sampler.

Owned by the worker's main thread. Each `step` reads as: plan, forward, sample, hand out.
"""

import logging
import secrets
from collections.abc import Callable
from typing import Any

import mlx.core as mx
import psutil

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
from jupyter_mlx_gpt_oss.worker.kv_span import LayerKinds, end_replay, take_snapshot
from jupyter_mlx_gpt_oss.worker.model_loader import LoadedModel
from jupyter_mlx_gpt_oss.worker.model_step import Row, forward, make_caches
from jupyter_mlx_gpt_oss.worker.prefix_cache import PrefixCache
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
        self._kinds = LayerKinds.of(loaded.model)
        max_bytes = _free_bytes() // 4 if config.prefix_cache_bytes is None else config.prefix_cache_bytes
        self._prefix_cache = PrefixCache(self._kinds, lambda: make_caches(loaded.model), max_bytes)

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
        admitted = self._scheduler.admit()
        chunks: list[Chunk] = []
        try:
            for sequence in admitted:
                self._begin(sequence)
            chunks = self._scheduler.plan()
            sampled = self._compute(chunks)
            for chunk in chunks:
                self._book(chunk)
        except Exception as error:  # noqa: BLE001  the worker's border: a fault becomes a report, the loop goes on
            self._fail([*admitted, *(chunk.sequence for chunk in chunks)], error)
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
        """Let go of a request; the one exit of all that finish, are aborted or fail."""
        sequence = self._scheduler.remove(request_id)
        self._seeds.pop(request_id, None)
        if sequence is not None and sequence.caches:
            self._keep(sequence)

    def _begin(self, sequence: Sequence) -> None:
        """Give a sequence its caches, filled with what is known of its prompt."""
        resume = self._prefix_cache.resume(sequence.request.prompt_token_ids)
        sequence.caches = resume.caches
        sequence.num_computed = sequence.num_cached_tokens = resume.num_tokens - resume.num_replayed
        sequence.replay_end = resume.num_tokens if resume.num_replayed else 0

    def _book(self, chunk: Chunk) -> None:
        """Count what a chunk has computed, and keep what later prompts may go on from."""
        sequence, start = chunk.sequence, chunk.sequence.num_computed
        end = sequence.num_computed = start + chunk.num_tokens
        if end <= sequence.replay_end:
            if end == sequence.replay_end:
                sequence.caches = end_replay(
                    make_caches(self._loaded.model), sequence.caches, self._kinds, end
                )
            return
        if sequence.num_output_tokens:
            return
        for position in _snapshot_positions(sequence.request):
            if start < position <= end and (
                snapshot := take_snapshot(sequence.caches, self._kinds, position)
            ):
                sequence.snapshots[position] = snapshot
        if end == sequence.num_prompt_tokens:
            self._prefix_cache.keep(sequence.token_ids, sequence.caches, sequence.snapshots)

    def _keep(self, sequence: Sequence) -> None:
        """Keep what was computed of a sequence that ends; the last token, the stop token, was not."""
        if sequence.num_computed <= sequence.replay_end:
            return
        if snapshot := take_snapshot(sequence.caches, self._kinds, sequence.num_computed):
            sequence.snapshots[sequence.num_computed] = snapshot
        self._prefix_cache.keep(
            sequence.token_ids[: sequence.num_computed], sequence.caches, sequence.snapshots
        )

    def _compute(self, chunks: list[Chunk]) -> dict[str, int]:
        """Return the sampled token of every request whose last uncomputed token is in this step."""
        rows = []
        for chunk in chunks:
            sequence = chunk.sequence
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
        """Append what was sampled behind a chunk; return the request's news."""
        sequence, request_id = chunk.sequence, chunk.sequence.request.request_id
        if request_id not in sampled:
            progress = Progress(
                stage=ProgressStage.PREFILL, done=sequence.num_computed, total=sequence.num_prompt_tokens
            )
            return RequestOutput(request_id, progress=progress)
        token = sampled[request_id]
        finish_reason = sequence.append(token)
        if finish_reason is not None:
            self._remove(request_id)
        return RequestOutput(request_id, (token,), finish_reason, sequence.num_cached_tokens)

    def _fail(self, sequences: list[Sequence], error: Exception) -> None:
        """Fail the sequences of a step. Their caches may hold half of it, so nothing of them is kept."""
        _log.error("a step of %d sequences failed", len(sequences), exc_info=error)
        is_memory = (
            isinstance(error, MemoryError) or "allocate" in str(error) or "memory" in str(error).lower()
        )
        code = OutOfMemoryError.code if is_memory else GenerationError.code
        message = (
            "The engine ran out of memory. Shorten the conversation or send fewer requests at once."
            if is_memory
            else "The engine failed while computing this answer. Send the request again."
        )
        for request_id in dict.fromkeys(sequence.request.request_id for sequence in sequences):
            if failed := self._scheduler.remove(request_id):
                failed.caches = []
            self._seeds.pop(request_id, None)
            self._post(RequestFailed(request_id, code, message))
        if is_memory:
            self._prefix_cache.clear()
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


def _snapshot_positions(request: GenerationRequest) -> set[int]:
    """Return where another prompt is likely to branch off: behind the system messages, the last turns, the prompt."""
    return {*request.boundaries[:2], *request.boundaries[-2:], len(request.prompt_token_ids)}


def _free_bytes() -> int:
    """Return memory that is free once the weights are loaded."""
    if mx.default_device() == mx.gpu:
        working_set = int(mx.device_info().get("max_recommended_working_set_size", 0))
        return max(0, working_set - mx.get_active_memory())
    return psutil.virtual_memory().available
