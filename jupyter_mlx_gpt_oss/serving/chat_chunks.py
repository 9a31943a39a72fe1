"""The items of one answer to what its chunks say. Here alone analysis becomes `reasoning`."""

from collections.abc import Callable, Sequence

from jupyter_mlx_gpt_oss.harmony.events import ReasoningDelta, ToolCallStarted
from jupyter_mlx_gpt_oss.harmony.events import ToolCallDelta as ArgumentsDelta
from jupyter_mlx_gpt_oss.protocol.chat_answers import (
    ChunkChoice,
    CompletionTokensDetails,
    Delta,
    FunctionDelta,
    PromptTokensDetails,
    ToolCallDelta,
    Usage,
)
from jupyter_mlx_gpt_oss.serving.chat_logprobs import choice_logprobs
from jupyter_mlx_gpt_oss.serving.generation import AnswerItem, Content, Finished, Started


class ChoiceWriter:
    """Writes one choice of a stream, from Started to Finished.

    Args:
        index: of the choice.
        new_id: makes the ids of tool calls.
        is_reasoning_hidden: whether reasoning is left out.
    """

    def __init__(self, index: int, *, new_id: Callable[[str], str], is_reasoning_hidden: bool) -> None:
        self._index = index
        self._new_id = new_id
        self._is_reasoning_hidden = is_reasoning_hidden
        self._num_calls = 0

    def write(self, item: AnswerItem) -> ChunkChoice | None:
        """Return what a chunk says of an item: the role at the start, the finish reason at the end; None: nothing."""
        match item:
            case Started():
                delta = Delta(role="assistant", content="")
            case Content():
                delta = Delta(content=item.text)
            case ReasoningDelta(text) if not self._is_reasoning_hidden:
                delta = Delta(reasoning=text, reasoning_content=text)
            case ToolCallStarted() | ArgumentsDelta():
                delta = Delta(tool_calls=[self._call(item)])
            case Finished():
                delta = Delta()
            case _:
                return None
        return ChunkChoice(
            index=self._index,
            delta=delta,
            logprobs=choice_logprobs(item.tokens) if isinstance(item, Content) else None,
            finish_reason=item.finish_reason if isinstance(item, Finished) else None,
        )

    def _call(self, item: ToolCallStarted | ArgumentsDelta) -> ToolCallDelta:
        if isinstance(item, ArgumentsDelta):
            return ToolCallDelta(index=self._num_calls - 1, function=FunctionDelta(arguments=item.arguments))
        self._num_calls += 1
        return ToolCallDelta(
            index=self._num_calls - 1,
            id=self._new_id("call_"),
            type="function",
            function=FunctionDelta(name=item.name, arguments=""),
        )


def usage_of(answers: Sequence[Finished]) -> Usage:
    """Return OpenAI's usage of the finished answers to one prompt, which counts once."""
    num_prompt_tokens = answers[0].num_prompt_tokens
    num_completion_tokens = sum(answer.num_completion_tokens for answer in answers)
    num_reasoning_tokens = sum(answer.num_reasoning_tokens for answer in answers)
    # One of them computed what the others found in the cache.
    num_cached_tokens = min(answer.num_cached_tokens for answer in answers)
    return Usage(
        prompt_tokens=num_prompt_tokens,
        completion_tokens=num_completion_tokens,
        total_tokens=num_prompt_tokens + num_completion_tokens,
        prompt_tokens_details=PromptTokensDetails(cached_tokens=num_cached_tokens),
        completion_tokens_details=CompletionTokensDetails(reasoning_tokens=num_reasoning_tokens),
    )
