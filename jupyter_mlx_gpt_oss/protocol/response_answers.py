"""The answers of `v1/responses`: the response with its items, and what is listed and deleted.

A field that was not set is left out; one set to None is written as null, as OpenAI does.
"""

from typing import Literal

from jupyter_mlx_gpt_oss.protocol.chat_answers import WireModel
from jupyter_mlx_gpt_oss.protocol.chat_completions import JsonObject

ItemStatus = Literal["in_progress", "completed", "incomplete"]
ResponseStatus = Literal["in_progress", "completed", "incomplete", "failed", "cancelled"]


class TextTopLogprob(WireModel):
    """A token, and the natural logarithm of its probability; `bytes` is empty for a token that is no text."""

    token: str
    bytes: list[int]
    logprob: float


class TextLogprob(TextTopLogprob):
    """A sampled token of the text, and the most likely ones in its place."""

    top_logprobs: list[TextTopLogprob]


class OutputText(WireModel):
    """The text of a message."""

    type: Literal["output_text"] = "output_text"
    text: str
    annotations: list[JsonObject]
    logprobs: list[TextLogprob]


class ReasoningText(WireModel):
    """What the model thought, as it thought it."""

    type: Literal["reasoning_text"] = "reasoning_text"
    text: str


class ReasoningItem(WireModel):
    """A thought. There is never a summary: the thought itself is given."""

    id: str
    type: Literal["reasoning"]
    summary: list[JsonObject]
    content: list[ReasoningText]
    encrypted_content: None
    status: ItemStatus


class MessageItem(WireModel):
    """Text for the user."""

    id: str
    type: Literal["message"]
    role: Literal["assistant"]
    status: ItemStatus
    content: list[OutputText]


class FunctionCallItem(WireModel):
    """A call; `arguments` is the text that the model wrote, which should be JSON."""

    id: str
    type: Literal["function_call"]
    call_id: str
    name: str
    namespace: str | None = None
    arguments: str
    status: ItemStatus


OutputItem = ReasoningItem | MessageItem | FunctionCallItem


class InputTokensDetails(WireModel):
    """Of the prompt's tokens, those that need not be computed; nothing is charged for writing a cache."""

    cached_tokens: int
    cache_write_tokens: Literal[0]


class OutputTokensDetails(WireModel):
    """Of the answer's tokens, those of the analysis channel."""

    reasoning_tokens: int


class ResponseUsage(WireModel):
    """Counts in tokens; every token that the model generated counts."""

    input_tokens: int
    input_tokens_details: InputTokensDetails
    output_tokens: int
    output_tokens_details: OutputTokensDetails
    total_tokens: int


class ResponseError(WireModel):
    """Why a response failed."""

    code: Literal["server_error"]
    message: str


class IncompleteDetails(WireModel):
    """Why a response is incomplete."""

    reason: Literal["max_output_tokens"]


class Response(WireModel):
    """The whole response; most fields repeat the request."""

    id: str
    object: Literal["response"]
    created_at: int
    status: ResponseStatus
    background: Literal[False]
    error: ResponseError | None
    incomplete_details: IncompleteDetails | None
    instructions: str | None
    max_output_tokens: int | None
    metadata: dict[str, str]
    model: str
    output: list[OutputItem]
    parallel_tool_calls: bool
    previous_response_id: str | None
    reasoning: JsonObject
    store: bool
    temperature: float
    text: JsonObject
    tool_choice: str | JsonObject
    tools: list[JsonObject]
    top_logprobs: int
    top_p: float
    truncation: Literal["auto", "disabled"]
    usage: ResponseUsage | None


class InputItemList(WireModel):
    """A page of the items that a response was asked with."""

    object: Literal["list"]
    data: list[JsonObject]
    first_id: str
    last_id: str
    has_more: bool


class DeletedResponse(WireModel):
    """A response that is no longer kept."""

    id: str
    object: Literal["response"]
    deleted: Literal[True]
