"""The events of a stream of `v1/responses`, each a frame with a name.

Source: OpenAI's API reference, "Streaming events" of responses.
"""

from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import override

from jupyter_mlx_gpt_oss.protocol.chat_answers import WireModel
from jupyter_mlx_gpt_oss.protocol.response_answers import (
    OutputItem,
    OutputText,
    ReasoningText,
    Response,
    TextLogprob,
)

LifecycleType = Literal[
    "response.created",
    "response.in_progress",
    "response.completed",
    "response.incomplete",
    "response.failed",
]
PartType = Literal["response.content_part.added", "response.content_part.done"]
DeltaType = Literal[
    "response.output_text.delta",
    "response.reasoning_text.delta",
    "response.function_call_arguments.delta",
]
DoneType = Literal[
    "response.output_text.done",
    "response.reasoning_text.done",
    "response.function_call_arguments.done",
]


class ResponseEvent(WireModel):
    """Any event; numbers ascend by one from 0."""

    type: str
    sequence_number: int

    @property
    @override
    def event_name(self) -> str:
        """The type, which is the frame's name too."""
        return self.type


class LifecycleEvent(ResponseEvent):
    """The response began or ended; a stream ends with completed, incomplete (cancelled, too) or failed."""

    type: LifecycleType
    response: Response
    fault: Annotated[str | None, Field(exclude=True)] = None
    """The code of the error that it failed with; the server's own, and not written."""


class ItemEvent(ResponseEvent):
    """An item began or ended."""

    type: Literal["response.output_item.added", "response.output_item.done"]
    output_index: int
    item: OutputItem


class PartEvent(ResponseEvent):
    """A part of an item began or ended."""

    type: PartType
    item_id: str
    output_index: int
    content_index: int
    part: OutputText | ReasoningText


class DeltaEvent(ResponseEvent):
    """More text; `content_index` is missing where it is a call's, `logprobs` where it is no message's."""

    type: DeltaType
    item_id: str
    output_index: int
    content_index: int | None = None
    delta: str
    logprobs: list[TextLogprob] | None = None


class DoneEvent(ResponseEvent):
    """The whole text: `text`, or of a call `name` and `arguments`."""

    type: DoneType
    item_id: str
    output_index: int
    content_index: int | None = None
    text: str | None = None
    logprobs: list[TextLogprob] | None = None
    name: str | None = None
    arguments: str | None = None
