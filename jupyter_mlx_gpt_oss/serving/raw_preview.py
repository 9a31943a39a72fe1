"""An engine whose prompts and answers can be read in the log, at DEBUG alone, as the raw text that the model sees."""

import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, aclosing

from jupyter_mlx_gpt_oss.engine.base import Engine, EngineStatus, ModelInfo
from jupyter_mlx_gpt_oss.engine.request import GenerationRequest, Progress, TokenOutput
from jupyter_mlx_gpt_oss.serving.raw_generation import RawText

_log = logging.getLogger(__name__)


class RawPreview:
    """Stands in the place of an engine.

    Args:
        engine: does the work.
        max_chars: of a prompt, its end, and of an answer, its beginning.
    """

    def __init__(self, engine: Engine, max_chars: int) -> None:
        self._engine = engine
        self._max_chars = max_chars

    def status(self) -> EngineStatus:
        """Return a snapshot."""
        return self._engine.status()

    async def load(self, model: str | None = None) -> ModelInfo:
        """Load a model; see `Engine.load`."""
        return await self._engine.load(model)

    def generate(self, request: GenerationRequest) -> AsyncGenerator[Progress | TokenOutput, None]:
        """Generate one answer; see `Engine.generate`."""
        outputs = self._engine.generate(request)
        return self._shown(request, outputs) if _log.isEnabledFor(logging.DEBUG) else outputs

    async def _shown(
        self, request: GenerationRequest, outputs: AsyncGenerator[Progress | TokenOutput, None]
    ) -> AsyncGenerator[Progress | TokenOutput, None]:
        prompt = _text(request.prompt_token_ids[-self._max_chars :])[-self._max_chars :]
        _log.debug("%s prompt, its end: %r", request.request_id, prompt)
        seen: list[int] = []
        async with AsyncExitStack() as stack:
            stack.callback(self._log_answer, request.request_id, seen)  # also of one that is left or fails
            await stack.enter_async_context(aclosing(outputs))
            async for output in outputs:
                if isinstance(output, TokenOutput) and len(seen) < self._max_chars:
                    seen += output.token_ids
                yield output

    def _log_answer(self, request_id: str, token_ids: Sequence[int]) -> None:
        _log.debug("%s answer, its beginning: %r", request_id, _text(token_ids)[: self._max_chars])

    def abort(self, request_id: str) -> None:
        """Stop a request."""
        self._engine.abort(request_id)

    def precompute(self, prompt_token_ids: tuple[int, ...]) -> None:
        """Read a prompt ahead; see `Engine.precompute`."""
        self._engine.precompute(prompt_token_ids)

    async def unload(self) -> None:
        """Give all memory of the model back."""
        await self._engine.unload()

    async def stop(self) -> None:
        """Unload for good."""
        await self._engine.stop()


def _text(token_ids: Sequence[int]) -> str:
    text = RawText(shows_control_tokens=True)
    return "".join(map(text.feed, token_ids)) + text.flush()
