"""Say each part of a transcript as plain text: for terminals, for `text/plain`, for a saved notebook.

Pure functions of values; the texts that HTML shows too are made here.
"""

import json
import re

from jupyter_mlx_gpt_oss.client.client import Progress
from jupyter_mlx_gpt_oss.magics.segments import (
    ReasoningSegment,
    Segment,
    TextSegment,
    ToolCallSegment,
    ToolResult,
    Usage,
)
from jupyter_mlx_gpt_oss.magics.transcript import Transcript

MAX_SHOWN_RESULT_CHARS = 4000
GROWING_CHARS = 2000
"""How much is shown of what the model is still thinking, or giving to a tool: its end."""
MEGABYTE = 1_000_000
BYTE_STAGES = ("downloading", "loading")
DEMO_NOTICE = (
    "This is the demo model: tiny, embedded, and only good for a first look. "
    "For the real one: %oss model mlx-community/gpt-oss-20b-MXFP4-Q8"
)

# A terminal obeys them: they could hide the code that the user is to allow. C0, DEL and C1 of ECMA-48.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
# Characters that have text read in another order than it is run in (Unicode's bidirectional embeddings and isolates).
_MASKS = re.compile(r"[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_HALVES = re.compile("[\ud800-\udfff]")
_STAGES = {
    "downloading": "downloading the model",
    "loading": "loading the model",
    "warming_up": "warming up the model",
    "queued": "waiting in the queue",
    "prefill": "reading the prompt",
}


def segment_to_text(segment: Segment, *, is_growing: bool = False) -> str:
    """Return a segment as text; Markdown stays Markdown."""
    match segment:
        case ReasoningSegment(text=text):
            return f"[{reasoning_title(segment)}]\n{newest(text) if is_growing else text}"
        case ToolCallSegment(result=result):
            call = _call_as_paragraph(segment, is_growing=is_growing)
            if result is None or result.is_shown:
                return call
            return f"{call}\n{result_to_text(segment.name, result)}"
        case TextSegment(text=text):
            return text


def visible(text: str) -> str:
    """Return a text that a terminal can show: each control character but newline and tab is a replacement mark."""
    return _CONTROLS.sub("\N{REPLACEMENT CHARACTER}", whole_characters(text).replace("\r\n", "\n"))


def whole_characters(text: str) -> str:
    """Return a text that can be sent: each half of a character, which UTF-8 does not have, is a replacement mark."""
    return _HALVES.sub("\N{REPLACEMENT CHARACTER}", text)


def unmasked(text: str) -> str:
    """Return code or arguments such that they are read as they are run: each mark of direction is a replacement mark."""
    return _MASKS.sub("\N{REPLACEMENT CHARACTER}", text)


def newest(text: str) -> str:
    """Return the end of a text that grows: of a long one its last lines."""
    if len(text) <= GROWING_CHARS:
        return text
    end = text[-GROWING_CHARS:]
    return "…\n" + (end.partition("\n")[2] or end)


def reasoning_title(segment: ReasoningSegment) -> str:
    """Return the heading over a reasoning: its length, and its seconds once it has ended."""
    if segment.ended_seconds is None:
        return "Reasoning…"
    num_words = len(segment.text.split())
    return f"Reasoning: {counted(num_words, 'word')}, {segment.ended_seconds - segment.started_seconds:.1f} s"


def call_to_text(call: ToolCallSegment) -> str:
    """Return a call as Python would write it; arguments that are no JSON object stand as they came."""
    try:
        arguments = json.loads(call.arguments or "{}")
    except (ValueError, RecursionError):
        arguments = None
    if not isinstance(arguments, dict):
        return unmasked(f"{call.name}({call.arguments})")
    given = (f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in arguments.items())
    return unmasked(f"{call.name}({', '.join(given)})")


def result_to_text(name: str, result: ToolResult) -> str:
    """Return what the tool `name` gave back, as one marked paragraph."""
    kind = "error" if result.is_error else "result"
    return f"[{kind} of {name}] {shown_result(result.text)}"


def shown_result(text: str) -> str:
    """Return as much of a tool's result as a cell shows; the model has it whole."""
    if len(text) <= MAX_SHOWN_RESULT_CHARS:
        return text
    return f"{text[:MAX_SHOWN_RESULT_CHARS]}… ({len(text)} characters in all)"


def progress_line(progress: Progress) -> str:
    """Return what the server does before the first token, in one line."""
    stage = _STAGES.get(progress.stage, progress.stage.replace("_", " "))
    if not progress.done:
        return f"{stage}…"
    if progress.stage == "queued":
        return f"{stage}: {counted(progress.done, 'request')} before this one"
    amount = _amount(progress.done, progress.total, is_bytes=progress.stage in BYTE_STAGES)
    return f"{stage}: {amount}" if amount else f"{stage}…"


def closing_line(transcript: Transcript) -> str:
    """Return the last quiet line of a cell: why it is not whole if it is not, tokens, speed, cache, seconds."""
    parts = [] if transcript.interruption is None else [transcript.interruption]
    if transcript.finish_reason == "length":
        parts.append("cut off at its length limit")
    if transcript.usage is not None:
        parts += _usage_parts(transcript.usage, transcript.generating_seconds)
    if transcript.ended_seconds is not None:
        parts.append(f"{transcript.ended_seconds - transcript.started_seconds:.1f} s")
    return " · ".join(parts)


def counted(number: int, noun: str) -> str:
    """Return `1 word`, `2 words`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _call_as_paragraph(call: ToolCallSegment, *, is_growing: bool) -> str:
    if call.code is not None:
        return f"[python]\n{unmasked(newest(call.code) if is_growing else call.code)}"
    if is_growing and len(call.arguments) > GROWING_CHARS:
        return f"[tool] {call.name} {unmasked(newest(call.arguments))}"
    return f"[tool] {call_to_text(call)}"


def _amount(done: int, total: int | None, *, is_bytes: bool) -> str:
    if is_bytes:
        whole = "" if not total else f" of {total / MEGABYTE:,.0f}"
        return f"{done / MEGABYTE:,.0f}{whole} MB"
    return f"{done:,} of {total:,}" if total else ""


def _usage_parts(usage: Usage, generating_seconds: float) -> list[str]:
    parts = [counted(usage.completion_tokens, "token")]
    if generating_seconds > 0:
        parts.append(f"{usage.completion_tokens / generating_seconds:.1f} tokens/s")
    if usage.cached_tokens:
        parts.append(f"{usage.cached_tokens:,} of {counted(usage.prompt_tokens, 'prompt token')} cached")
    return parts
