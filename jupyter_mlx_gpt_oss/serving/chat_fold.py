"""Add up the chunks of a chat completion to the whole answer."""

from dataclasses import dataclass, field

from jupyter_mlx_gpt_oss.errors import GenerationError
from jupyter_mlx_gpt_oss.protocol.chat_answers import (
    ChatCompletion,
    ChatCompletionChunk,
    Choice,
    Delta,
    FinishReason,
    Function,
    Message,
    ToolCall,
    ToolCallDelta,
    Usage,
)


@dataclass(slots=True)
class _Call:
    id: str
    name: str
    arguments: list[str] = field(default_factory=list)

    def whole(self) -> ToolCall:
        function = Function(name=self.name, arguments="".join(self.arguments))
        return ToolCall(id=self.id, type="function", function=function)


class ChatCompletionFold:
    """Takes chunks in their order; O(1) for each chunk."""

    def __init__(self) -> None:
        self._head: ChatCompletionChunk | None = None
        self._content: list[str] = []
        self._reasoning: list[str] = []
        self._calls: list[_Call] = []
        self._finish_reason: FinishReason | None = None
        self._usage: Usage | None = None

    def add(self, chunk: ChatCompletionChunk) -> None:
        """Add the next chunk."""
        self._head = chunk
        self._usage = chunk.usage or self._usage
        for choice in chunk.choices:
            self._finish_reason = choice.finish_reason or self._finish_reason
            self._add_delta(choice.delta)

    def whole(self) -> ChatCompletion:
        """Return the whole answer.

        Raises:
            GenerationError: the chunks ended without a finish reason or usage.
        """
        if self._head is None or self._finish_reason is None or self._usage is None:
            raise GenerationError("The answer ended before it was complete; send the request again.")
        choice = Choice(index=0, message=self._message(), logprobs=None, finish_reason=self._finish_reason)
        return ChatCompletion(
            id=self._head.id,
            object="chat.completion",
            created=self._head.created,
            model=self._head.model,
            system_fingerprint=self._head.system_fingerprint,
            choices=[choice],
            usage=self._usage,
        )

    def _add_delta(self, delta: Delta) -> None:
        if delta.content:
            self._content.append(delta.content)
        if delta.reasoning:
            self._reasoning.append(delta.reasoning)
        for call in delta.tool_calls or ():
            self._add_call(call)

    def _add_call(self, call: ToolCallDelta) -> None:
        if call.id is not None:
            self._calls.append(_Call(id=call.id, name=call.function.name or ""))
        self._calls[call.index].arguments.append(call.function.arguments)

    def _message(self) -> Message:
        content: str | None = "".join(self._content)
        if self._calls and not content:
            content = None
        message = Message(role="assistant", content=content, refusal=None)
        if self._reasoning:
            message.reasoning = message.reasoning_content = "".join(self._reasoning)
        if self._calls:
            message.tool_calls = [call.whole() for call in self._calls]
        return message
