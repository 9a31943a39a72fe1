"""Turn the messages of a conversation into rows, as `%oss history` shows them. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from jupyter_mlx_gpt_oss.magics.markdown import lines_to_html
from jupyter_mlx_gpt_oss.magics.render_html import output_to_html, segment_to_html
from jupyter_mlx_gpt_oss.magics.render_text import segment_to_text
from jupyter_mlx_gpt_oss.magics.segments import ToolCallSegment


@dataclass(frozen=True, slots=True)
class HistoryRow:
    """Who, and what they said or called: as text, and as HTML."""

    role: str
    text: str
    html: str


def history_rows(messages: Iterable[Mapping[str, Any]]) -> Iterator[HistoryRow]:
    """Yield a row for each call, and one for each text.

    Args:
        messages: as OpenAI's API takes them.
    """
    for message in messages:
        for index, call in enumerate(message.get("tool_calls", ())):
            function = call["function"]
            segment = ToolCallSegment(0, index, call["id"], function["name"], function["arguments"])
            yield HistoryRow(message["role"], segment_to_text(segment), segment_to_html(segment))
        if message["content"]:
            role, text = message["role"], message["content"]
            yield HistoryRow(role, text, output_to_html(text) if role == "tool" else lines_to_html(text))
