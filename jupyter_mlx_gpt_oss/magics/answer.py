"""The value of a cell: what `_` and `-o NAME` hold. Knows nothing of IPython."""

from dataclasses import dataclass, field
from typing import Any, Self

from typing_extensions import override

from jupyter_mlx_gpt_oss.magics.conversation import Conversation
from jupyter_mlx_gpt_oss.magics.segments import ToolCallSegment, Usage
from jupyter_mlx_gpt_oss.magics.transcript import Transcript

MAX_REPR_CHARS = 60


@dataclass(frozen=True, slots=True, repr=False)
class Answer:
    """An answer of the model. `str(answer)` is its text.

    `tool_calls` are dicts of name, arguments (JSON text), result and is_error, in the order of their calls.
    `messages` is the conversation up to and with this answer, as OpenAI's API takes it. `conversation` is the live one,
    which later cells change. `parsed` is the value of `--schema`; None without it, or where the text does not fit.
    """

    text: str
    reasoning: str
    tool_calls: tuple[dict[str, Any], ...]
    usage: Usage | None
    finish_reason: str | None
    messages: tuple[dict[str, Any], ...]
    conversation: Conversation = field(compare=False)
    parsed: Any = None

    @classmethod
    def from_transcript(
        cls, transcript: Transcript, conversation: Conversation, parsed: object = None
    ) -> Self:
        """Return the answer that a finished transcript holds; its turn is the last of the conversation."""
        calls = (segment for segment in transcript.segments if isinstance(segment, ToolCallSegment))
        return cls(
            text=transcript.text,
            reasoning=transcript.reasoning,
            tool_calls=tuple(_call_to_dict(call) for call in calls),
            usage=transcript.usage,
            finish_reason=transcript.finish_reason,
            messages=tuple(conversation.messages),
            conversation=conversation,
            parsed=parsed,
        )

    @override
    def __str__(self) -> str:
        return self.text

    @override
    def __repr__(self) -> str:
        text = self.text if len(self.text) <= MAX_REPR_CHARS else self.text[:MAX_REPR_CHARS] + "…"
        tokens = "" if self.usage is None else f", {self.usage.completion_tokens} tokens"
        return f"Answer({text!r}, finish_reason={self.finish_reason!r}{tokens})"


def _call_to_dict(call: ToolCallSegment) -> dict[str, Any]:
    result = call.result
    return {
        "name": call.name,
        "arguments": call.arguments,
        "result": None if result is None else result.text,
        "is_error": result is not None and result.is_error,
    }
