"""An engine that plays scripts instead of a model: a real implementation of `engine/base.py`, without arithmetic.

    engine.enqueue("<|channel|>final<|message|>Hi", gate, " there<|return|>")

A script is played by the next request: text one token at a time, a Progress as it is, an error by raising it, and at
an `asyncio.Event` the script waits until the test sets it. A script that ends without a stop token ends as LENGTH.
"""

import asyncio
import re
from collections import deque
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field

from jupyter_mlx_gpt_oss.engine.base import EngineState, EngineStatus, ModelInfo
from jupyter_mlx_gpt_oss.engine.config import EngineConfig
from jupyter_mlx_gpt_oss.engine.request import (
    FinishReason,
    GenerationRequest,
    Progress,
    TokenLogprobs,
    TokenOutput,
)
from jupyter_mlx_gpt_oss.errors import ContextLengthError, GptOssError, QueueFullError
from jupyter_mlx_gpt_oss.harmony.encoding import encode
from jupyter_mlx_gpt_oss.vocabulary import NUM_TOKENS, SPECIAL_TOKENS

Step = str | Progress | Exception | asyncio.Event
_SPECIAL = re.compile("|".join(map(re.escape, SPECIAL_TOKENS)))
_HELLO = "<|channel|>final<|message|>Hello.<|return|>"


def tokens_of(text: str) -> list[int]:
    """Encode text in which special tokens are written out."""
    token_ids: list[int] = []
    end = 0
    for match in _SPECIAL.finditer(text):
        token_ids += [*encode(text[end : match.start()]), SPECIAL_TOKENS[match.group()]]
        end = match.end()
    return [*token_ids, *encode(text[end:])]


@dataclass(slots=True)
class _Running:
    request: GenerationRequest
    aborted: asyncio.Event = field(default_factory=asyncio.Event)
    ending: str = "closed"

    def note(self, item: Progress | TokenOutput) -> None:
        if isinstance(item, TokenOutput) and item.finish_reason is not None:
            self.ending = item.finish_reason.value


class ScriptedEngine:
    """Plays what was enqueued, one script a request, first come first served; without a script it says hello."""

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        self.context_length = config.context_length or 4096
        self.num_cached_tokens = 0
        self.requests: list[GenerationRequest] = []
        self.beginnings: asyncio.Queue[GenerationRequest] = asyncio.Queue()
        self.endings: asyncio.Queue[str] = asyncio.Queue()
        """How each request ended: a finish reason, `closed` when its iterator was closed early, `failed`."""
        self.precomputed: asyncio.Queue[tuple[int, ...]] = asyncio.Queue()
        self.load_error: GptOssError | None = None
        self.is_stopped = False
        self.may_load = asyncio.Event()
        """Cleared by a test whose model takes long to load."""
        self.may_load.set()
        self.may_stop = asyncio.Event()
        """Cleared by a test whose engine must not stop."""
        self.may_stop.set()
        self._scripts: deque[tuple[Step, ...]] = deque()
        self._running: dict[str, _Running] = {}
        self._state = EngineState.UNLOADED
        self._model = config.model

    def enqueue(self, *script: Step) -> None:
        """Let the next request play this."""
        self._scripts.append(script)

    def script_for(self, request: GenerationRequest) -> tuple[Step, ...]:
        """Return what a request plays."""
        del request
        return self._scripts.popleft() if self._scripts else (_HELLO,)

    def status(self) -> EngineStatus:
        is_ready = self._state is EngineState.READY
        return EngineStatus(
            state=self._state,
            model=self._info() if is_ready else None,
            num_running=len(self._running),
            error=str(self.load_error) if self._state is EngineState.FAILED else None,
        )

    async def load(self, model: str | None = None) -> ModelInfo:
        await self.may_load.wait()
        if self.load_error is not None:
            self._state = EngineState.FAILED
            raise self.load_error
        self._model = model or self._model
        self._state = EngineState.READY
        return self._info()

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[Progress | TokenOutput, None]:
        if len(self._running) >= self.config.max_running_requests + self.config.max_waiting_requests:
            raise QueueFullError("As many requests wait as may.")
        running = self._running[request.request_id] = _Running(request)
        self.requests.append(request)
        self.beginnings.put_nowait(request)
        try:
            async with aclosing(self._play(running)) as items:
                async for item in items:
                    yield item
                    running.note(item)
        except GptOssError:
            running.ending = "failed"
            raise
        finally:
            del self._running[request.request_id]
            self.endings.put_nowait(running.ending)

    def abort(self, request_id: str) -> None:
        if request_id in self._running:
            self._running[request_id].aborted.set()

    def precompute(self, prompt_token_ids: tuple[int, ...]) -> None:
        self.precomputed.put_nowait(prompt_token_ids)

    async def unload(self) -> None:
        self._state = EngineState.UNLOADED

    async def stop(self) -> None:
        await self.may_stop.wait()
        self.is_stopped = True
        await self.unload()

    async def _play(self, running: _Running) -> AsyncGenerator[Progress | TokenOutput, None]:
        request = running.request
        await self.load()
        num_left = self.context_length - len(request.prompt_token_ids)
        if num_left <= 0:
            raise ContextLengthError(len(request.prompt_token_ids), self.context_length)
        num_left = min(num_left, request.max_tokens)
        for step in self.script_for(request):
            if isinstance(step, Exception):
                raise step
            if isinstance(step, asyncio.Event):
                await _first_of(step, running.aborted)
            if running.aborted.is_set():
                yield TokenOutput(token_ids=(), finish_reason=FinishReason.ABORT)
                return
            for item in self._outputs(step, request, num_left):
                yield item
                num_left -= isinstance(item, TokenOutput)
                if isinstance(item, TokenOutput) and item.finish_reason is not None:
                    return
        yield TokenOutput(token_ids=(), finish_reason=FinishReason.LENGTH)

    def _outputs(
        self, step: str | Progress | asyncio.Event, request: GenerationRequest, num_left: int
    ) -> Iterator[Progress | TokenOutput]:
        if isinstance(step, Progress):
            yield step
        elif isinstance(step, str):
            for index, token_id in enumerate(tokens_of(step), start=1):
                reason = FinishReason.LENGTH if index == num_left else None
                if token_id in request.stop_token_ids:
                    reason = FinishReason.STOP
                yield TokenOutput(
                    token_ids=(token_id,),
                    finish_reason=reason,
                    num_cached_tokens=self.num_cached_tokens,
                    logprobs=_logprobs(token_id, request.num_logprobs),
                )

    def _info(self) -> ModelInfo:
        return ModelInfo(
            name=self._model,
            context_length=self.context_length,
            quantization=None,
            vocabulary_size=NUM_TOKENS,
            is_demo=self._model == "demo",
            weight_bytes=0,
            device="cpu",
        )


def _logprobs(token_id: int, num_logprobs: int | None) -> tuple[TokenLogprobs, ...]:
    """Say that each token was sampled with -0.5, and would have been followed by the ids before it with less."""
    if num_logprobs is None:
        return ()
    top = tuple(((token_id - rank) % NUM_TOKENS, -0.5 - rank) for rank in range(num_logprobs))
    return (TokenLogprobs(-0.5, top),)


async def _first_of(*events: asyncio.Event) -> None:
    tasks = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
