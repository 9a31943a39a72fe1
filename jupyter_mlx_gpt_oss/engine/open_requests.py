"""The open requests of an engine: which may come in, what each is told, which go on after a crash.

Belongs to the event loop of its engine. Knows no process and no frames.
"""

import math
import secrets
from collections.abc import Callable, Iterator
from dataclasses import replace

from jupyter_mlx_gpt_oss.engine.base import ModelInfo
from jupyter_mlx_gpt_oss.engine.config import EngineConfig
from jupyter_mlx_gpt_oss.engine.request import GenerationRequest, Progress, TokenOutput
from jupyter_mlx_gpt_oss.engine.stream import Stream
from jupyter_mlx_gpt_oss.errors import ContextLengthError, GptOssError, InvalidRequestError, QueueFullError

_MAX_RETRY_SECONDS = 120.0
_MEMORY = 8  # requests over which the measured duration fades
# After so many in a row requests go to the next process one by one, to find the one at fault.
_CAREFUL_CRASHES = 2


class OpenRequests:
    """A stream for each request, from its acceptance until its iterator is closed.

    Args:
        config: the limits.
        clock: seconds that only grow, such as time.monotonic.
    """

    def __init__(self, config: EngineConfig, clock: Callable[[], float]) -> None:
        self._config = config
        self._clock = clock
        self._streams: dict[str, Stream] = {}
        self._request_seconds = 1.0
        self._num_crashes = 0
        """In a row; with many, whoever is sent has to get on before the next is."""
        self._suspect: Stream | None = None

    def __len__(self) -> int:
        return len(self._streams)

    def __iter__(self) -> Iterator[Stream]:
        return iter(tuple(self._streams.values()))

    @property
    def unfinished(self) -> tuple[Stream, ...]:
        """Requests that wait for the worker; the others wait for their clients."""
        return tuple(stream for stream in self if not stream.is_finished)

    @property
    def num_unsent(self) -> int:
        """Requests that no worker has yet."""
        return sum(not stream.is_sent for stream in self.unfinished)

    def open(self, request: GenerationRequest) -> Stream:
        """Accept a request.

        Raises:
            QueueFullError: there are too many, or too many of the same caller.
        """
        self._check_queue(request.caller)
        if request.sampling.seed is None:  # drawn here, so that a new process goes on with the same answer
            sampling = replace(request.sampling, seed=secrets.randbits(63))
            request = replace(request, sampling=sampling)
        stream = self._streams[request.request_id] = Stream(request, self._clock())
        return stream

    def close(self, stream: Stream) -> None:
        """Forget a request."""
        del self._streams[stream.request.request_id]
        seconds = self._clock() - stream.start_seconds
        self._request_seconds += (seconds - self._request_seconds) / _MEMORY

    def tell(self, request_id: str, news: Progress | TokenOutput | GptOssError) -> None:
        """Give a request its news; one that was aborted meanwhile has no stream any more."""
        if stream := self._streams.get(request_id):
            stream.tell(news)

    def tell_all(self, news: Progress | GptOssError) -> None:
        """Give every request the same news."""
        for stream in self:
            stream.tell(news)

    def resume(self, error: GptOssError) -> bool:
        """Make every unfinished request one that goes on behind what was emitted; return whether any does.

        Args:
            error: what those are told that were resumed too often.
        """
        sent = [stream for stream in self.unfinished if stream.is_sent]
        suspect = self._suspect if self.is_careful else sent[0] if len(sent) == 1 else None
        self._num_crashes += 1
        self._suspect = None
        for stream in self.unfinished:
            # A process that ends before it is sent anything is nobody's fault, and everybody has waited for it.
            if not stream.resume(is_suspect=stream is suspect or not sent):
                stream.tell(error)
        return bool(self.unfinished)

    def note_step(self) -> None:
        """See that a process computes: with all that it was sent well on their way, crashes to come are in a row with none."""
        if self._num_crashes and not self.is_careful and all(each.has_progressed for each in self.unfinished):
            self.forget_crashes()

    def forget_crashes(self) -> None:
        """Begin anew: what comes is not the fault of what was."""
        self._num_crashes = 0
        self._suspect = None

    def due(self) -> tuple[Stream, ...]:
        """Return those to send to the worker now: all that it does not have; after crashes one, and the next when that gets on."""
        unsent = tuple(stream for stream in self.unfinished if not stream.is_sent)
        if not self.is_careful:
            return unsent
        if any(each is self._suspect and not each.has_progressed for each in self.unfinished):
            return ()
        self._suspect = unsent[0] if unsent else None
        if not unsent:
            self._num_crashes = 0
        return unsent[:1]

    @property
    def is_careful(self) -> bool:
        """Whether the last processes ended one after the other, and it is to be found out by whose fault."""
        return self._num_crashes >= _CAREFUL_CRASHES

    def _check_queue(self, caller: str) -> None:
        limit = self._config.max_running_requests + self._config.max_waiting_requests
        own_limit = self._config.max_requests_per_user or limit
        num_own = sum(stream.request.caller == caller for stream in self)
        if len(self) >= limit or num_own >= own_limit:
            raise QueueFullError(
                f"{len(self)} requests are running or waiting, {num_own} of them yours; no more than {limit} may, "
                f"and {own_limit} of one user. Try again soon.",
                retry_after_seconds=self._seconds_to_a_place(num_own if num_own >= own_limit else len(self)),
            )

    def _seconds_to_a_place(self, num_open: int) -> int:
        """Return when one of the open requests is likely to have ended.

        Of n that take t seconds each, one ends every t / n (Little's law); t is what the last ones took, or what the
        oldest open one has taken already, if that is longer.
        """
        oldest = max((self._clock() - stream.start_seconds for stream in self), default=0.0)
        seconds = max(self._request_seconds, oldest) / max(1, num_open)
        return max(1, math.ceil(min(seconds, _MAX_RETRY_SECONDS)))


def check_prompt(request: GenerationRequest, model: ModelInfo) -> None:
    """See that a model can read a request's prompt.

    Raises:
        ContextLengthError: it leaves no room for an answer.
        InvalidRequestError: it holds what is no token of the model's.
    """
    if len(request.prompt_token_ids) >= model.context_length:
        raise ContextLengthError(len(request.prompt_token_ids), model.context_length)
    # An id without a row in the embedding table is memory that is not ours: MLX does not check.
    if not all(0 <= token_id < model.vocabulary_size for token_id in request.prompt_token_ids):
        raise InvalidRequestError(
            f"The prompt holds a token id outside 0 to {model.vocabulary_size - 1}, the model's vocabulary.",
            param="prompt",
        )
