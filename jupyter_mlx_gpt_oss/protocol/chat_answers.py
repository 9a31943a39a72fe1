"""The answers of `POST v1/chat/completions`: chunks of a stream, and the whole.

A field that was not set is left out; one set to None is written as null, as OpenAI does.
"""

from typing import Literal

from pydantic import BaseModel

FinishReason = Literal["stop", "length", "tool_calls"]


class WireModel(BaseModel):
    """A value that is written as JSON."""

    @property
    def event_name(self) -> str | None:
        """What its frame is called in a stream; None: frames of this kind have no name."""
        return None

    def to_json(self) -> str:
        """Return one line of JSON."""
        return self.model_dump_json(exclude_unset=True)


class PromptTokensDetails(WireModel):
    """Of the prompt's tokens, those that need not be computed."""

    cached_tokens: int


class CompletionTokensDetails(WireModel):
    """Of the answer's tokens, those of the analysis channel."""

    reasoning_tokens: int


class Usage(WireModel):
    """Counts in tokens; every token that the model generated counts."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokensDetails
    completion_tokens_details: CompletionTokensDetails


class FunctionDelta(WireModel):
    """The name comes first, whole; the arguments follow in pieces."""

    name: str | None = None
    arguments: str


class ToolCallDelta(WireModel):
    """A piece of a tool call; `id`, `type` and the name are in its first piece alone."""

    index: int
    id: str | None = None
    type: Literal["function"] | None = None
    function: FunctionDelta


class Delta(WireModel):
    """What a chunk adds to the message."""

    role: Literal["assistant"] | None = None
    content: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[ToolCallDelta] | None = None


class TopLogprob(WireModel):
    """A token, and the natural logarithm of its probability; `bytes` is null for a token that is no text."""

    token: str
    bytes: list[int] | None
    logprob: float


class ContentLogprob(TopLogprob):
    """A sampled token of the content, and the most likely ones in its place."""

    top_logprobs: list[TopLogprob]


class ChoiceLogprobs(WireModel):
    """The tokens of the content, in their order."""

    content: list[ContentLogprob]
    refusal: None


class ChunkChoice(WireModel):
    """What a chunk adds to one choice; the last one has the finish reason."""

    index: int
    delta: Delta
    logprobs: ChoiceLogprobs | None
    finish_reason: FinishReason | None


class ChatCompletionChunk(WireModel):
    """One frame of a stream. `usage` is written only where the caller asked for it."""

    id: str
    object: Literal["chat.completion.chunk"]
    created: int
    model: str
    system_fingerprint: str
    choices: list[ChunkChoice]
    usage: Usage | None = None


class Function(WireModel):
    """A called function; `arguments` is the text that the model wrote, which should be JSON."""

    name: str
    arguments: str


class ToolCall(WireModel):
    """A whole tool call."""

    id: str
    type: Literal["function"]
    function: Function


class Message(WireModel):
    """The whole message; `content` is null when there are only tool calls."""

    role: Literal["assistant"]
    content: str | None
    refusal: None
    reasoning: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[ToolCall] | None = None


class Choice(WireModel):
    """One answer."""

    index: int
    message: Message
    logprobs: ChoiceLogprobs | None
    finish_reason: FinishReason


class ChatCompletion(WireModel):
    """The whole answer, which equals what its stream adds up to."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    system_fingerprint: str
    choices: list[Choice]
    usage: Usage
