"""Add up the chunks of a raw completion to the whole answer."""

from jupyter_mlx_gpt_oss.errors import GenerationError
from jupyter_mlx_gpt_oss.protocol.completion_answers import (
    Completion,
    CompletionChoice,
    CompletionLogprobs,
    CompletionUsage,
)

_UNFINISHED = "The answer ended before it was complete; send the request again."


class _ChoiceFold:
    """Takes what the chunks say of one choice, in their order; O(1) for each token."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._token_ids: list[int] = []
        self._logprobs = CompletionLogprobs(tokens=[], token_logprobs=[], top_logprobs=[], text_offset=[])
        self._first: CompletionChoice | None = None
        self._last: CompletionChoice | None = None

    def add(self, choice: CompletionChoice) -> None:
        self._first = self._first or choice
        self._last = choice
        self._texts.append(choice.text)
        self._token_ids += choice.token_ids or ()
        if choice.logprobs is not None:
            self._logprobs.tokens += choice.logprobs.tokens
            self._logprobs.token_logprobs += choice.logprobs.token_logprobs
            self._logprobs.top_logprobs += choice.logprobs.top_logprobs
            self._logprobs.text_offset += choice.logprobs.text_offset

    def whole(self) -> CompletionChoice:
        if self._first is None or self._last is None or self._last.finish_reason is None:
            raise GenerationError(_UNFINISHED)
        whole = self._last.model_copy(
            update={
                "text": "".join(self._texts),
                "logprobs": None if self._last.logprobs is None else self._logprobs,
            }
        )
        if self._first.prompt_token_ids is not None:
            whole.token_ids = self._token_ids
            whole.prompt_token_ids = self._first.prompt_token_ids
        return whole


class CompletionFold:
    """Takes chunks in their order."""

    def __init__(self) -> None:
        self._head: Completion | None = None
        self._choices: dict[int, _ChoiceFold] = {}
        self._usage: CompletionUsage | None = None

    def add(self, chunk: Completion) -> None:
        """Add the next chunk."""
        self._head = chunk
        self._usage = chunk.usage or self._usage
        for choice in chunk.choices:
            self._choices.setdefault(choice.index, _ChoiceFold()).add(choice)

    def whole(self) -> Completion:
        """Return the whole answer.

        Raises:
            GenerationError: the chunks ended without usage, or a choice without a finish reason.
        """
        if self._head is None or self._usage is None:
            raise GenerationError(_UNFINISHED)
        choices = [fold.whole() for _, fold in sorted(self._choices.items())]
        return self._head.model_copy(update={"choices": choices, "usage": self._usage})
