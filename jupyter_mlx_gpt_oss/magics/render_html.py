"""Show each part of a transcript as HTML.

Pure functions of values. SAFETY: every text of the model, a tool or a server is escaped here or goes through
`markdown_to_html`. Styles are inline, without scripts, ids or theme variables: what is left of an output in an
untrusted notebook, in nbconvert and on GitHub is all of it, in a light theme and in a dark one.
"""

import json
from html import escape

from jupyter_mlx_gpt_oss.magics.highlight import highlight_code
from jupyter_mlx_gpt_oss.magics.markdown import CODE_STYLE, escape_text, markdown_to_html
from jupyter_mlx_gpt_oss.magics.render_text import call_to_text, reasoning_title, shown_result
from jupyter_mlx_gpt_oss.magics.segments import ReasoningSegment, Segment, TextSegment, ToolCallSegment

LONG_CALL_CHARS = 100

_QUIET_STYLE = "opacity:.65;font-size:85%"
_ASIDE_STYLE = "border-left:3px solid #888;padding:2px 0 2px 10px;margin:4px 0"
_WRAPPED_STYLE = "white-space:pre-wrap;overflow-wrap:anywhere"
_ERROR_STYLE = "border-left:3px solid #d1495b;padding:2px 0 2px 10px;margin:4px 0;overflow:auto"


def segment_to_html(segment: Segment) -> str:
    """Return a segment as HTML, streaming or finished."""
    match segment:
        case ReasoningSegment():
            return _reasoning_to_html(segment)
        case ToolCallSegment():
            return _call_to_html(segment)
        case TextSegment(text=text):
            return f"<div>{markdown_to_html(text)}</div>"


def quiet_line_to_html(line: str) -> str:
    """Return a line that is read only by who looks for it."""
    return f'<div style="{_QUIET_STYLE}">{escape_text(line)}</div>' if line else ""


def error_to_html(text: str) -> str:
    """Return a traceback, which keeps its lines as they are."""
    return f'<pre style="{_ERROR_STYLE}">{escape_text(text)}</pre>'


def table_to_html(rows: list[tuple[str, str]]) -> str:
    """Return rows of a name and a text, as `%oss status` has them."""
    lines = (
        f'<tr><th style="text-align:left;vertical-align:top">{escape_text(name)}</th>'
        f'<td style="text-align:left;{_WRAPPED_STYLE}">{escape_text(text)}</td></tr>'
        for name, text in rows
    )
    return f"<table>{''.join(lines)}</table>"


def _reasoning_to_html(segment: ReasoningSegment) -> str:
    is_open = " open" if segment.ended_seconds is None else ""
    return (
        f'<details{is_open} style="{_ASIDE_STYLE};opacity:.75"><summary>{escape(reasoning_title(segment))}'
        f'</summary><div style="{_WRAPPED_STYLE};margin-top:4px">{escape_text(segment.text)}</div></details>'
    )


def _call_to_html(call: ToolCallSegment) -> str:
    result = ""
    if call.result is not None and not call.result.is_shown:
        mark = "<b>error</b> " if call.result.is_error else "→ "
        text = escape_text(shown_result(call.result.text))
        result = f'<div style="{_WRAPPED_STYLE};max-height:20em;overflow:auto">{mark}{text}</div>'
    return f'<div style="{_ASIDE_STYLE}">{_signature_to_html(call)}{result}</div>'


def _signature_to_html(call: ToolCallSegment) -> str:
    if call.code is not None:
        code = highlight_code(call.code, "python")
        return f'<code>{escape(call.name)}</code><pre style="{CODE_STYLE}">{code}</pre>'
    one_line = call_to_text(call)
    if len(one_line) <= LONG_CALL_CHARS:
        return f"<code>{escape(one_line)}</code>"
    try:
        arguments = json.dumps(json.loads(call.arguments), ensure_ascii=False, indent=2)
    except ValueError:
        arguments = call.arguments
    return f'<code>{escape(call.name)}</code><pre style="{CODE_STYLE}">{escape(arguments)}</pre>'
