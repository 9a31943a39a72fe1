"""Add up the chunks of a chat completion to the whole answer."""

from dataclasses import dataclass, field

from jupyter_mlx_gpt_oss.errors import GenerationError
from jupyter_mlx_gpt_oss.protocol.chat_answers import (
    ChatCompletion,
    ChatCompletionChunk,
    Choice,
    ChoiceLogprobs,
    ChunkChoice,
    ContentLogprob,
    FinishReason,
    Function,
    Message,
    ToolCall,
    ToolCallDelta,
    Usage,
)

_UNFINISHED = "The answer ended before it was complete; send the request again."


@dataclass(slots=True)
class _Call:
    id: str
    name: str
    arguments: list[str] = field(default_factory=list)

    def whole(self) -> ToolCall:
        function = Function(name=self.name, arguments="".join(self.arguments))
        return ToolCall(id=self.id, type="function", function=function)


class ChoiceFold:
    """Takes what the chunks say of one choice, in their order; O(1) for each."""

    def __init__(self) -> None:
        self._content: list[str] = []
        self._reasoning: list[str] = []
        self._calls: list[_Call] = []
        self._logprobs: list[ContentLogprob] = []
        self._finish_reason: FinishReason | None = None

    def add(self, choice: ChunkChoice) -> None:
        """Add what the next chunk says."""
        self._finish_reason = choice.finish_reason or self._finish_reason
        if choice.delta.content:
            self._content.append(choice.delta.content)
        if choice.delta.reasoning:
            self._reasoning.append(choice.delta.reasoning)
        for call in choice.delta.tool_calls or ():
            self._add_call(call)
        if choice.logprobs is not None:
            self._logprobs += choice.logprobs.content

    def whole(self, index: int) -> Choice:
        """Return the whole choice.

        Raises:
            GenerationError: the chunks ended without a finish reason.
        """
        if self._finish_reason is None:
            raise GenerationError(_UNFINISHED)
        logprobs = ChoiceLogprobs(content=self._logprobs, refusal=None) if self._logprobs else None
        return Choice(
            index=index, message=self.message(), logprobs=logprobs, finish_reason=self._finish_reason
        )

    def message(self) -> Message:
        """Return the message so far."""
        content: str | None = "".join(self._content)
        if self._calls and not content:
            content = None
        message = Message(role="assistant", content=content, refusal=None)
        if self._reasoning:
            message.reasoning = message.reasoning_content = "".join(self._reasoning)
        if self._calls:
            message.tool_calls = [call.whole() for call in self._calls]
        return message

    def _add_call(self, call: ToolCallDelta) -> None:
        if call.id is not None:
            self._calls.append(_Call(id=call.id, name=call.function.name or ""))
        self._calls[call.index].arguments.append(call.function.arguments)


class ChatCompletionFold:
    """Takes chunks in their order."""

    def __init__(self) -> None:
        self._head: ChatCompletionChunk | None = None
        self._choices: dict[int, ChoiceFold] = {}
        self._usage: Usage | None = None

    def add(self, chunk: ChatCompletionChunk) -> None:
        """Add the next chunk."""
        self._head = chunk
        self._usage = chunk.usage or self._usage
        for choice in chunk.choices:
            self._choices.setdefault(choice.index, ChoiceFold()).add(choice)

    def whole(self) -> ChatCompletion:
        """Return the whole answer.

        Raises:
            GenerationError: the chunks ended without usage, or a choice without a finish reason.
        """
        if self._head is None or self._usage is None:
            raise GenerationError(_UNFINISHED)
        return ChatCompletion(
            id=self._head.id,
            object="chat.completion",
            created=self._head.created,
            model=self._head.model,
            system_fingerprint=self._head.system_fingerprint,
            choices=[fold.whole(index) for index, fold in sorted(self._choices.items())],
            usage=self._usage,
        )
