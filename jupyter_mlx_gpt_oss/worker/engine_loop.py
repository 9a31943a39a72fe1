"""Commands to steps, steps to reports: joins the scheduler, the caches and the step runner.

Owned by the worker's main thread. Each `step` reads as: admit, plan, compute, hand out.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import mlx.core as mx

from jupyter_mlx_gpt_oss.engine.config import EngineConfig
from jupyter_mlx_gpt_oss.engine.frames import (
    Abort,
    Command,
    Generate,
    Precompute,
    Report,
    RequestFailed,
    RequestOutput,
    StepDone,
)
from jupyter_mlx_gpt_oss.engine.request import GenerationRequest, Progress, ProgressStage
from jupyter_mlx_gpt_oss.errors import GenerationError, InvalidRequestError, OutOfMemoryError
from jupyter_mlx_gpt_oss.worker.grammar_compiler import GrammarCompiler
from jupyter_mlx_gpt_oss.worker.memory import MemoryBudget, is_out_of_memory
from jupyter_mlx_gpt_oss.worker.model_loader import LoadedModel
from jupyter_mlx_gpt_oss.worker.pace import Pace
from jupyter_mlx_gpt_oss.worker.prompt_lookup import PromptLookup
from jupyter_mlx_gpt_oss.worker.ranked_runner import make_runner
from jupyter_mlx_gpt_oss.worker.ranks import ALONE, Ranks
from jupyter_mlx_gpt_oss.worker.read_ahead import ReadAhead
from jupyter_mlx_gpt_oss.worker.scheduler import Chunk, Scheduler
from jupyter_mlx_gpt_oss.worker.sequence import Sequence
from jupyter_mlx_gpt_oss.worker.sequence_caches import SequenceCaches
from jupyter_mlx_gpt_oss.worker.token_drawer import Drawn

_log = logging.getLogger(__name__)
_GRAMMAR_WAIT_SECONDS = 0.02  # before commands are looked at again, where there is nothing to compute


class EngineLoop:
    """The requests of one loaded model.

    Args:
        loaded: the model.
        config: the limits.
        post: sends a report.
        ranks: that share the model; all of them run this loop.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        config: EngineConfig,
        post: Callable[[Report], None],
        ranks: Ranks = ALONE,
    ) -> None:
        self._info, self._constraints = loaded.info, loaded.constraints
        self._post = post
        self._scheduler = Scheduler(max_running=config.max_running_requests)
        self._pace = Pace(max_tokens=config.max_prefill_tokens, max_gap_seconds=config.max_token_gap_seconds)
        self._ranks, self._clock = ranks, ranks.clock
        self._memory = ranks.share(
            lambda: MemoryBudget.measure(loaded.model, config.prefix_cache_bytes), MemoryBudget
        )
        self._caches = SequenceCaches(loaded.model, self._memory.prefix_cache_bytes)
        self._is_taken_apart = False
        """Whether the last step failed, and each of its sequences was computed alone: no measure of the machine."""
        self._max_prefill_tokens = config.max_prefill_tokens
        self._prompt_lookup = PromptLookup(config.prompt_lookup_tokens)
        self._runner = make_runner(loaded, self._caches, ranks)
        self._compiler = GrammarCompiler(self._constraints.compile)
        self._compiling: dict[str, Sequence] = {}
        self._finished: list[Sequence] = []
        self._ahead = ReadAhead(self._caches.knows)

    def prepare(self) -> None:
        """Do what the first request that needs it would have to wait for; call it while there is nothing else to do."""
        self._constraints.prepare()

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing to compute."""
        return not (self._has_sequences or self._compiling or self._ahead)

    @property
    def _has_sequences(self) -> bool:
        return bool(self._scheduler.num_running or self._scheduler.num_waiting)

    def take(self, command: Command) -> None:
        """Carry out a command; takes effect with the next step."""
        match command:
            case Generate(request=request):
                self._stop_ahead()
                self._add(request)
            case Abort(request_id=request_id):
                self._compiler.forget(request_id)
                self._compiling.pop(request_id, None)
                if aborted := self._scheduler.remove(request_id):
                    self._keep(aborted)
                self._report([], 0.0)
            case Precompute(prompt_token_ids=prompt_token_ids):
                if self._memory.can_keep(len(prompt_token_ids)):
                    self._ahead.add(prompt_token_ids)
            case _:
                raise AssertionError(f"{type(command).__name__} comes once, before the model is loaded")

    def step(self) -> None:
        """Compute one step and report it."""
        self._take_compiled()
        if not self._has_sequences:
            self._compute_ahead()
            return
        start = self._clock()
        if not self._runner.is_in_flight:
            self._admit()
        num_decoding = self._scheduler.num_decoding
        chunks = self._scheduler.plan(self._pace.prefill_tokens(num_decoding))
        if not chunks:
            return  # those that were to begin could not
        is_alike = num_decoding == self._scheduler.num_running  # no prompt is read, or waits for its turn
        is_lone = is_alike and num_decoding == 1
        draft = self._prompt_lookup.draft(chunks[0].sequence) if is_lone else []
        if draft and not self._runner.is_in_flight:
            self._step_with_draft(chunks[0], draft, start)
            return
        goes_on = is_alike and not draft and not self._scheduler.can_admit
        outputs = self._compute_safely(chunks, goes_on=goes_on)
        seconds = self._clock() - start
        if is_lone:
            self._prompt_lookup.note_plain(seconds)
        if not self._is_taken_apart:
            num_prefill = sum(chunk.num_tokens for chunk in chunks) - num_decoding
            self._pace.note(num_prefill_tokens=num_prefill, num_decoding=num_decoding, seconds=seconds)
        self._report(outputs, seconds)
        self._keep_finished()

    # -- requests -------------------------------------------------------------------------------------------------

    def _add(self, request: GenerationRequest) -> None:
        room = self._info.context_length - len(request.prompt_token_ids)
        sequence = Sequence(request, max_tokens=min(request.max_tokens, room))
        if not self._memory.fits(sequence, running=()):
            message = self._memory.refusal(sequence)
            self._post(RequestFailed(request.request_id, OutOfMemoryError.code, message))
            return
        if request.grammar is None:
            self._queue(sequence)
        else:  # nothing is said of it yet: the first that is said may be a refusal
            self._compiling[request.request_id] = sequence
            self._compiler.begin(request)

    def _queue(self, sequence: Sequence) -> None:
        progress = Progress(
            stage=ProgressStage.QUEUED, done=self._scheduler.num_running + self._scheduler.num_waiting
        )
        self._scheduler.add(sequence)
        self._report([RequestOutput(sequence.request.request_id, progress=progress)], 0.0)

    def _take_compiled(self) -> None:
        """Put the sequences whose grammars are compiled into the queue; wait for one where there is nothing else to do."""
        if not self._compiling:
            return
        seconds = 0.0 if self._has_sequences else _GRAMMAR_WAIT_SECONDS
        for request_id in self._ranks.share(lambda: self._compiler.finished(seconds), list[str]):
            sequence = self._compiling.pop(request_id)
            with self._guard(sequence):
                sequence.constraint = self._compiler.take(request_id)
                self._stop_ahead()
                self._queue(sequence)

    @property
    def _num_waiting(self) -> int:
        return self._scheduler.num_waiting + len(self._compiling)

    def _may_run(self, sequence: Sequence) -> bool:
        running = self._scheduler.running
        # A prompt that begins as one that is being read, such as each of `n` answers, waits until it can share it.
        try:
            return not any(self._caches.is_worth_waiting_for(other, sequence) for other in running)
        except Exception as error:  # noqa: BLE001  the worker's border: what they share is not to be had, and it reads itself
            _log.warning("what two prompts share could not be kept", exc_info=error)
            self._caches.prefix_cache.clear()
            mx.clear_cache()
            return True

    def _admit(self) -> None:
        for sequence in self._scheduler.admit(self._may_run, self._memory.fits):
            with self._guard(sequence):
                self._caches.begin(sequence)

    def _keep_finished(self) -> None:
        """Keep what finished requests have computed: after their end was reported, since copying takes its time."""
        for sequence in self._finished:
            self._keep(sequence)
        self._finished.clear()

    def _keep(self, sequence: Sequence) -> None:
        with self._guard(sequence):
            self._caches.keep(sequence)
        self._drop_idle_flight()

    # -- one step -------------------------------------------------------------------------------------------------

    def _compute_safely(self, chunks: list[Chunk], *, goes_on: bool = False) -> list[RequestOutput]:
        """Compute a step; one that fails is taken apart, so that it costs only the sequence at fault."""
        outputs: list[RequestOutput] = []
        self._is_taken_apart = False
        ends = [chunk.sequence.num_computed + chunk.num_tokens for chunk in chunks]
        if len(chunks) == 1:
            with self._guard(chunks[0].sequence):
                outputs += self._hand_out(chunks, self._runner.run(chunks, goes_on=goes_on))
            return outputs
        try:
            return self._hand_out(chunks, self._runner.run(chunks, goes_on=goes_on))
        except Exception as error:  # noqa: BLE001  the worker's border: a fault becomes a report, the loop goes on
            self._is_taken_apart = True
            self._runner.drop()
            mx.clear_cache()
            if not isinstance(error, InvalidRequestError):
                _log.warning(
                    "a step of %d sequences failed, each is tried alone", len(chunks), exc_info=error
                )
        for chunk, end in zip(chunks, ends, strict=True):
            with self._guard(chunk.sequence):
                outputs += self._compute_alone(chunk.sequence, end)
        return outputs

    def _compute_alone(self, sequence: Sequence, end: int) -> list[RequestOutput]:
        """Compute a sequence up to a position, from what is kept: its caches may hold half of a failed step.

        All the way, since whatever fails at that position would not be found before it.
        """
        self._caches.begin(sequence)
        while True:
            left = max(1, end - sequence.num_computed)
            chunk = Chunk(sequence, min(left, sequence.num_next, self._max_prefill_tokens))
            outputs = self._hand_out([chunk], self._runner.run([chunk], goes_on=False))
            if sequence.num_computed >= end:
                return outputs
            self._report(outputs, 0.0)  # that it is not stuck

    def _step_with_draft(self, chunk: Chunk, draft: list[int], start: float) -> None:
        """Compute one step of a sequence that decodes alone, and check a guess of its next tokens in it."""
        sequence = chunk.sequence
        with self._guard(sequence):
            tokens = self._runner.run_draft(sequence, draft)
            finish_reason = None
            for num_taken, token in enumerate(tokens, 1):
                finish_reason = sequence.append(token)
                if finish_reason is not None:
                    tokens = tokens[:num_taken]
                    break
            # The last token was sampled, not computed; what was computed behind it is taken back.
            self._caches.rewind(sequence, len(draft) + 1 - len(tokens))
            sequence.num_computed += len(tokens)
            if finish_reason is not None:
                self._finish(sequence)
            seconds = self._clock() - start
            self._prompt_lookup.note_draft(len(tokens), seconds)
            request_id = sequence.request.request_id
            output = RequestOutput(request_id, tuple(tokens), finish_reason, sequence.num_cached_tokens)
            self._report([output], seconds)
        self._keep_finished()

    def _hand_out(self, chunks: list[Chunk], drawn: Drawn) -> list[RequestOutput]:
        """Append what was drawn to the sequences; return the news of those that go on."""
        outputs = (self._news(chunk.sequence, drawn) for chunk in chunks)
        return [output for output in outputs if output is not None]

    def _news(self, sequence: Sequence, drawn: Drawn) -> RequestOutput | None:
        request_id = sequence.request.request_id
        if sequence not in drawn:
            progress = Progress(
                stage=ProgressStage.PREFILL, done=sequence.num_computed, total=sequence.num_prompt_tokens
            )
            return RequestOutput(request_id, progress=progress)
        token, logprobs = drawn[sequence]
        try:
            finish_reason = sequence.append(token)
        except InvalidRequestError as error:  # of its own grammar; the others' tokens stand
            self._fail(sequence, error)
            return None
        if finish_reason is not None:
            self._finish(sequence)
        return RequestOutput(
            request_id, (token,), finish_reason, sequence.num_cached_tokens, logprobs=logprobs
        )

    def _finish(self, sequence: Sequence) -> None:
        self._scheduler.remove(sequence.request.request_id)
        self._finished.append(sequence)

    def _stop_ahead(self) -> None:
        """Let go of what is read ahead, whose memory a request may need; what is computed of it is kept, as far as may be."""
        if sequence := self._ahead.stop():
            self._keep(sequence)

    def _compute_ahead(self) -> None:
        """Read a little more of the prompt that is read ahead; nobody waits for it, so its failure is nobody's."""
        sequence = self._ahead.take()
        if sequence is None:
            return
        with self._guard(sequence):
            if not sequence.caches:
                self._caches.begin(sequence)
            start = self._clock()
            chunk = Chunk(sequence, min(sequence.num_next, self._pace.ahead_tokens()))
            self._runner.read(chunk)
            seconds = self._clock() - start
            self._pace.note(num_prefill_tokens=chunk.num_tokens, num_decoding=0, seconds=seconds)
            if sequence.num_uncomputed:
                self._ahead.put_back(sequence)

    @contextmanager
    def _guard(self, sequence: Sequence) -> Iterator[None]:
        """Hold whatever is done for one sequence: a fault in it costs that request, and the loop goes on."""
        try:
            yield
        except ConnectionError:  # nobody is left to be told; the process ends
            raise
        except Exception as error:  # noqa: BLE001  the worker's border: a fault becomes a report
            self._fail(sequence, error)

    def _fail(self, sequence: Sequence, error: Exception) -> None:
        self._scheduler.remove(sequence.request.request_id)
        self._drop_idle_flight()
        if isinstance(error, InvalidRequestError):
            self._post(RequestFailed(sequence.request.request_id, error.code, error.message, error.param))
            self._report([], 0.0)
            return
        _log.error("a sequence of %d tokens failed", len(sequence.token_ids), exc_info=error)
        is_memory = is_out_of_memory(error)
        code = OutOfMemoryError.code if is_memory else GenerationError.code
        message = "The engine failed while computing this answer. Send the request again."
        if isinstance(error, GenerationError):
            message = error.message
        if is_memory:
            self._caches.prefix_cache.clear()
            mx.clear_cache()
            message = "The engine ran out of memory. Shorten the conversation or send fewer requests at once."
        self._post(RequestFailed(sequence.request.request_id, code, message))
        self._report([], 0.0)

    def _drop_idle_flight(self) -> None:
        """Forget the step in flight once nobody is left who waits for it."""
        if not self._scheduler.num_running:
            self._runner.drop()

    def _report(self, outputs: list[RequestOutput], seconds: float) -> None:
        self._post(
            StepDone(
                outputs=tuple(outputs),
                num_running=self._scheduler.num_running,
                num_waiting=self._num_waiting,
                memory_bytes=mx.get_active_memory(),
                live_kv_bytes=self._memory.live_bytes(self._scheduler.running),
                prefix_cache_bytes=self._caches.prefix_cache.num_bytes,
                snapshot_bytes=self._caches.prefix_cache.num_snapshot_bytes,
                step_seconds=seconds,
            )
        )
