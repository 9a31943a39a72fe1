"""Fold the chunks of one cell into its transcript: what the model thought, called and said, in order.

Pure: no I/O, no display, no clock; the caller hands in the time.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from jupyter_mlx_gpt_oss.magics.segments import (
    ReasoningSegment,
    Segment,
    TextSegment,
    ToolCallSegment,
    ToolResult,
    Usage,
    segments_to_messages,
)


@dataclass(frozen=True, slots=True)
class Transcript:
    """What one cell shows.

    Invariants: only the last segment grows, tool calls of the current round apart; the segments of a round
    stand together.
    """

    started_seconds: float
    segments: tuple[Segment, ...] = ()
    round: int = 0
    finish_reason: str | None = None
    """Of the last round: stop, length or tool_calls; None while it streams, or when it broke off."""
    usage: Usage | None = None
    """None until a server has said it."""
    earlier_usage: Usage | None = None
    """Of the finished rounds."""
    first_token_seconds: float | None = None
    """When the first token of the current round came."""
    generating_seconds: float = 0.0
    """From first token to finish, summed over the finished rounds."""
    ended_seconds: float | None = None
    interruption: str | None = None
    """Why the answer is not whole, in a word or two; None for a whole one."""

    def add_chunk(self, chunk: Mapping[str, Any], now_seconds: float) -> "Transcript":
        """Return the transcript with one chunk more."""
        transcript = self
        for choice in chunk.get("choices") or ():
            transcript = _add_delta(transcript, choice.get("delta") or {}, now_seconds)
            if choice.get("finish_reason"):
                transcript = _finish_round(transcript, choice["finish_reason"], now_seconds)
        if chunk.get("usage"):
            # Some servers count in every chunk, each time from the beginning of the answer.
            usage = Usage.from_chunk(chunk["usage"]) + (self.earlier_usage or Usage())
            transcript = replace(transcript, usage=usage)
        return transcript

    def begin_round(self) -> "Transcript":
        """Return the transcript ready for the chunks of the next request."""
        return replace(
            self,
            round=self.round + 1,
            finish_reason=None,
            earlier_usage=self.usage,
            first_token_seconds=None,
        )

    def add_result(self, call: ToolCallSegment, result: ToolResult) -> "Transcript":
        """Return the transcript with the result of a call that is in it."""
        at = self.segments.index(call)
        return _replace_segment(self, at, replace(call, result=result))

    def end(self, now_seconds: float, interruption: str | None = None) -> "Transcript":
        """Return the transcript closed: nothing streams any more."""
        closed = _end_reasoning(self, now_seconds)
        return replace(closed, ended_seconds=now_seconds, interruption=interruption)

    @property
    def growing(self) -> Segment | None:
        """The segment that the next chunk may make longer."""
        is_over = self.finish_reason is not None or self.ended_seconds is not None
        return None if is_over else _last_of_round(self)

    @property
    def pending_calls(self) -> tuple[ToolCallSegment, ...]:
        """The calls of the current round that have no result yet, in the model's order."""
        calls = (segment for segment in self.segments if isinstance(segment, ToolCallSegment))
        return tuple(call for call in calls if call.round == self.round and call.result is None)

    @property
    def text(self) -> str:
        """The answer: what the last round said."""
        return "\n\n".join(
            segment.text
            for segment in self.segments
            if isinstance(segment, TextSegment) and segment.round == self.round
        )

    @property
    def reasoning(self) -> str:
        """Everything that the model thought, round after round."""
        return "\n\n".join(s.text for s in self.segments if isinstance(s, ReasoningSegment))

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The rounds as OpenAI messages: assistant, its tool results, assistant, and so on."""
        rounds = (
            tuple(segment for segment in self.segments if segment.round == number)
            for number in range(self.round + 1)
        )
        return [message for segments in rounds if segments for message in segments_to_messages(segments)]


def _add_delta(transcript: Transcript, delta: Mapping[str, Any], now_seconds: float) -> Transcript:
    reasoning = delta.get("reasoning") or delta.get("reasoning_content")
    content = delta.get("content")
    calls = delta.get("tool_calls") or ()
    if transcript.first_token_seconds is None and (reasoning or content or calls):
        transcript = replace(transcript, first_token_seconds=now_seconds)
    if reasoning:
        transcript = _add_reasoning(transcript, reasoning, now_seconds)
    if content:
        transcript = _add_text(transcript, content, now_seconds)
    for call in calls:
        transcript = _add_tool_call(transcript, call, now_seconds)
    return transcript


def _add_reasoning(transcript: Transcript, text: str, now_seconds: float) -> Transcript:
    last = _last_of_round(transcript)
    if isinstance(last, ReasoningSegment):
        return _replace_segment(transcript, -1, replace(last, text=last.text + text))
    return _append(transcript, ReasoningSegment(transcript.round, text, now_seconds))


def _add_text(transcript: Transcript, text: str, now_seconds: float) -> Transcript:
    last = _last_of_round(transcript)
    if isinstance(last, TextSegment):
        return _replace_segment(transcript, -1, replace(last, text=last.text + text))
    return _append(_end_reasoning(transcript, now_seconds), TextSegment(transcript.round, text))


def _add_tool_call(transcript: Transcript, delta: Mapping[str, Any], now_seconds: float) -> Transcript:
    index = delta.get("index") or 0
    function = delta.get("function") or {}
    arguments = function.get("arguments") or ""
    for at, segment in reversed([*enumerate(transcript.segments)]):
        if not isinstance(segment, ToolCallSegment):
            continue
        if (segment.round, segment.index) == (transcript.round, index):
            if delta.get("id") not in {None, "", segment.call_id}:
                break  # a server without indexes has begun another call
            return _replace_segment(transcript, at, replace(segment, arguments=segment.arguments + arguments))
    call_id = delta.get("id") or f"call_{transcript.round}_{index}"
    name = function.get("name") or ""
    call = ToolCallSegment(transcript.round, index, call_id, name, arguments)
    return _append(_end_reasoning(transcript, now_seconds), call)


def _finish_round(transcript: Transcript, finish_reason: str, now_seconds: float) -> Transcript:
    closed = _end_reasoning(transcript, now_seconds)
    first = now_seconds if transcript.first_token_seconds is None else transcript.first_token_seconds
    generating_seconds = transcript.generating_seconds + now_seconds - first
    return replace(closed, finish_reason=finish_reason, generating_seconds=generating_seconds)


def _end_reasoning(transcript: Transcript, now_seconds: float) -> Transcript:
    last = _last_of_round(transcript)
    if isinstance(last, ReasoningSegment) and last.ended_seconds is None:
        return _replace_segment(transcript, -1, replace(last, ended_seconds=now_seconds))
    return transcript


def _last_of_round(transcript: Transcript) -> Segment | None:
    if transcript.segments and transcript.segments[-1].round == transcript.round:
        return transcript.segments[-1]
    return None


def _append(transcript: Transcript, segment: Segment) -> Transcript:
    return replace(transcript, segments=(*transcript.segments, segment))


def _replace_segment(transcript: Transcript, at: int, segment: Segment) -> Transcript:
    segments = list(transcript.segments)
    segments[at] = segment
    return replace(transcript, segments=tuple(segments))
