"""The pieces of a transcript, in the order in which the model makes them, and its usage.

Values only. A cell may take several rounds (the model calls a tool, gets its result, goes on); a segment knows
its round.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

PYTHON = "python"
"""The name under which the model calls GPT-OSS's own python tool."""
_LINE_END = re.compile("\r\n?")
_CODE_OPENING = '{"code": "'


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens, summed over the rounds of a cell."""

    prompt_tokens: int = 0
    cached_tokens: int = 0
    """Part of `prompt_tokens` that the server had computed before."""
    completion_tokens: int = 0
    """Reasoning included."""
    reasoning_tokens: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.cached_tokens + other.cached_tokens,
            self.completion_tokens + other.completion_tokens,
            self.reasoning_tokens + other.reasoning_tokens,
        )

    @classmethod
    def from_chunk(cls, usage: Mapping[str, Any]) -> "Usage":
        """Read OpenAI's usage; details that a server leaves out count as 0."""
        prompt_details = usage.get("prompt_tokens_details") or {}
        completion_details = usage.get("completion_tokens_details") or {}
        return cls(
            usage.get("prompt_tokens") or 0,
            prompt_details.get("cached_tokens") or 0,
            usage.get("completion_tokens") or 0,
            completion_details.get("reasoning_tokens") or 0,
        )


@dataclass(frozen=True, slots=True)
class ReasoningSegment:
    """What the model thought before it went on."""

    round: int
    text: str
    started_seconds: float
    ended_seconds: float | None = None
    """None while it streams."""


@dataclass(frozen=True, slots=True)
class TextSegment:
    """What the model said: the answer, or a preamble before a tool call. Markdown."""

    round: int
    text: str


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool gave back, as the model reads it."""

    text: str
    is_error: bool = False
    is_shown: bool = False
    """Whether the cell has shown it as it came, so that it need not be shown again."""


@dataclass(frozen=True, slots=True)
class ToolCallSegment:
    """A call of a tool: its arguments as JSON text, complete once the round has ended; then its result."""

    round: int
    index: int
    call_id: str
    name: str
    arguments: str
    result: ToolResult | None = None

    @property
    def code(self) -> str | None:
        """What a call of the python tool runs, as far as it has come; None for another tool."""
        if self.name != PYTHON:
            return None
        return "" if _CODE_OPENING.startswith(self.arguments) else code_in_arguments(self.arguments)


Segment = ReasoningSegment | TextSegment | ToolCallSegment


def code_in_arguments(arguments: str) -> str | None:
    """Return the code in the arguments of the python tool, complete or cut; None if they are something else.

    Python ends a line at a lone carriage return, and what shows the code may not: so no line ends with one.
    """
    for ending in ("", '"}'):
        try:
            found = json.loads(arguments + ending)
        except (ValueError, RecursionError):
            continue
        code = found.get("code") if isinstance(found, dict) else None
        return _LINE_END.sub("\n", code) if isinstance(code, str) else None
    return None


def segments_to_messages(segments: tuple[Segment, ...]) -> list[dict[str, Any]]:
    """Return the segments of one round as OpenAI messages: the assistant's, then one for each tool result."""
    text = "\n\n".join(s.text for s in segments if isinstance(s, TextSegment))
    reasoning = "\n\n".join(s.text for s in segments if isinstance(s, ReasoningSegment))
    calls = [s for s in segments if isinstance(s, ToolCallSegment)]
    message: dict[str, Any] = {"role": "assistant", "content": text or None}
    if reasoning:
        message["reasoning"] = reasoning
    if calls:
        message["tool_calls"] = [
            {
                "id": call.call_id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in calls
        ]
    elif message["content"] is None:
        message["content"] = ""
    results = [
        {"role": "tool", "tool_call_id": call.call_id, "name": call.name, "content": call.result.text}
        for call in calls
        if call.result is not None
    ]
    return [message, *results]
