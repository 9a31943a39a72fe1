"""One open request on the server's side: what its iterator reads, and what a new process would need to go on."""

import asyncio
from dataclasses import dataclass, field, replace

from jupyter_mlx_gpt_oss.engine.request import GenerationRequest, Progress, TokenOutput
from jupyter_mlx_gpt_oss.errors import GptOssError

_MAX_RESUMES = 2  # a request that brings the process down each time must not do so for ever
_PROGRESS_TOKENS = 16


@dataclass(slots=True, eq=False)
class Stream:
    """Owned by the engine that made it; its request has a seed, so that a resumed answer is the same answer."""

    request: GenerationRequest
    start_seconds: float
    is_sent: bool = False
    """Whether the worker has it."""
    is_finished: bool = False
    """Whether its end was told, though it may not have been read yet."""
    _news: asyncio.Queue[Progress | TokenOutput | GptOssError] = field(default_factory=asyncio.Queue)
    _emitted: list[int] = field(default_factory=list)
    _num_resumes: int = 0

    def tell(self, news: Progress | TokenOutput | GptOssError) -> None:
        """Add to what the iterator reads."""
        if isinstance(news, TokenOutput):
            self._emitted += news.token_ids
            self.is_finished |= news.finish_reason is not None
        elif isinstance(news, GptOssError):
            self.is_finished = True
        self._news.put_nowait(news)

    async def next(self) -> Progress | TokenOutput:
        """Return the next item.

        Raises:
            GptOssError: the request failed.
        """
        news = await self._news.get()
        if isinstance(news, GptOssError):
            raise news
        return news

    @property
    def has_progressed(self) -> bool:
        """Whether it has come so far since it was sent that it does not bring a process down."""
        return len(self._emitted) - len(self.request.output_token_ids) >= _PROGRESS_TOKENS

    def resume(self, *, is_suspect: bool) -> bool:
        """Make the request one that goes on behind what was emitted; False if that was tried too often.

        Args:
            is_suspect: whether it alone may have brought the process down.
        """
        if self.has_progressed:
            self._num_resumes = 0
        self._num_resumes += is_suspect
        self.is_sent = False
        self.request = replace(self.request, output_token_ids=tuple(self._emitted))
        return self._num_resumes <= _MAX_RESUMES
