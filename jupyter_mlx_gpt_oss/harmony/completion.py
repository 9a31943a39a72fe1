"""A finished completion to the answer it holds: a fold over the streaming parser.

Source: the project's contract for programs; the parser's policy is in docs/harmony.md.
"""

from collections.abc import Iterable
from typing import Any

from jupyter_mlx_gpt_oss.harmony.events import (
    Event,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    ToolCallStarted,
)
from jupyter_mlx_gpt_oss.harmony.parser import HarmonyParser


def parse_completion(
    token_ids: Iterable[int], tools: Iterable[str] = (), truncated: bool = False
) -> dict[str, Any]:
    """Parse a completion that starts right after the prompt's `<|start|>assistant`.

    Args:
        token_ids: any ids; those after the end of the turn do not count.
        tools: the names offered; `python` is GPT-OSS's own python tool.
        truncated: the completion was cut off by a limit.

    Returns:
        `reasoning` and `content`, text or None; `tool_calls`, each with `name` and `arguments`; `finish_reason`,
        one of `length`, `tool_calls` and `stop`. Raises nothing: any exception is a bug.
    """
    parser = HarmonyParser(tools)
    events = [event for token_id in token_ids for event in parser.feed(token_id)]
    return fold_events([*events, *parser.close(truncated=truncated)], truncated=truncated)


def fold_events(events: Iterable[Event], *, truncated: bool = False) -> dict[str, Any]:
    """Return the whole answer that a stream of events adds up to, in the shape of parse_completion."""
    reasoning: list[str] = []
    content: list[str] = []
    calls: list[tuple[str, list[str]]] = []
    for event in events:
        match event:
            case ReasoningDelta(text):
                reasoning.append(text)
            case TextDelta(text):
                content.append(text)
            case ToolCallStarted(name):
                calls.append((name, []))
            case ToolCallDelta(arguments):
                calls[-1][1].append(arguments)
    finish_reason = "tool_calls" if calls else "stop"
    return {
        "reasoning": "".join(reasoning) or None,
        "content": "".join(content) or None,
        "tool_calls": [{"name": name, "arguments": "".join(arguments)} for name, arguments in calls],
        "finish_reason": "length" if truncated else finish_reason,
    }
