"""A prompt to its answer, with the time of every token."""

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

from jupyter_mlx_gpt_oss.check.prompts import Prompt
from jupyter_mlx_gpt_oss.engine.base import Engine
from jupyter_mlx_gpt_oss.engine.request import (
    FinishReason,
    GenerationRequest,
    Progress,
    ProgressStage,
    TokenLogprobs,
    TokenOutput,
)
from jupyter_mlx_gpt_oss.engine.sampling import SamplingParams


@dataclass(slots=True)
class Answer:
    """What has arrived of an answer. Times are seconds of time.monotonic."""

    asked_at: float
    token_ids: list[int] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    """When each token arrived."""
    logprobs: list[TokenLogprobs] = field(default_factory=list)
    """One for each token, where they were asked for."""
    num_cached_tokens: int = 0
    chunk_tokens: list[int] = field(default_factory=list)
    """Prompt tokens of each chunk that was reported while the prompt was read."""
    finish_reason: FinishReason | None = None

    @property
    def first_token_seconds(self) -> float:
        """From the asking to the first token; 0 where none came."""
        return self.times[0] - self.asked_at if self.times else 0.0

    @property
    def tokens_per_second(self) -> float:
        """Of the tokens behind the first; 0 where there are none."""
        seconds = self.times[-1] - self.times[0] if self.times else 0.0
        return (len(self.times) - 1) / seconds if seconds else 0.0

    def take(self, news: Progress | TokenOutput) -> None:
        """Add what the engine has said."""
        if isinstance(news, Progress):
            if news.stage is ProgressStage.PREFILL:
                self.chunk_tokens.append(news.done - self.num_cached_tokens - sum(self.chunk_tokens))
            return
        self.token_ids += news.token_ids
        self.times += [time.monotonic()] * len(news.token_ids)
        self.logprobs += news.logprobs
        self.num_cached_tokens = max(self.num_cached_tokens, news.num_cached_tokens)
        self.finish_reason = news.finish_reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """How an answer is asked for."""

    prompt: Prompt
    max_tokens: int
    num_logprobs: int | None = None
    temperature: float = 0.0
    must_stop: Callable[[Answer], bool] | None = None
    """Asked at every news; True aborts the answer."""


async def ask(
    engine: Engine, question: Question, on_news: Callable[[Progress | TokenOutput], None] | None = None
) -> Answer:
    """Return the answer; no token stops it, so that its length is known.

    Raises:
        GptOssError: as `Engine.generate`.
    """
    request = GenerationRequest(
        request_id=f"check-{uuid.uuid4().hex}",
        prompt_token_ids=question.prompt,
        max_tokens=question.max_tokens,
        stop_token_ids=(),
        num_logprobs=question.num_logprobs,
        sampling=SamplingParams(temperature=question.temperature, seed=0),
    )
    answer = Answer(asked_at=time.monotonic())
    async for news in engine.generate(request):
        answer.take(news)
        if on_news is not None:
            on_news(news)
        if question.must_stop is not None and question.must_stop(answer):
            engine.abort(request.request_id)
    return answer
