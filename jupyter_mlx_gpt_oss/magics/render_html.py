"""Show each part of a transcript as HTML.

Pure functions of values. SAFETY: every text of the model, a tool or a server is escaped here or goes through
`markdown_to_html`. Styles are inline, without scripts, ids or theme variables: what is left of an output in an
untrusted notebook, in nbconvert and on GitHub is all of it, in a light theme and in a dark one.
"""

from html import escape

from jupyter_mlx_gpt_oss.magics.highlight import highlight_code
from jupyter_mlx_gpt_oss.magics.json_table import json_to_table
from jupyter_mlx_gpt_oss.magics.markdown import CODE_STYLE, escape_text, lines_to_html, markdown_to_html
from jupyter_mlx_gpt_oss.magics.render_text import (
    call_to_text,
    newest,
    reasoning_title,
    shown_result,
    unmasked,
)
from jupyter_mlx_gpt_oss.magics.segments import (
    ReasoningSegment,
    Segment,
    TextSegment,
    ToolCallSegment,
    ToolResult,
)

LONG_CALL_CHARS = 100

_QUIET_STYLE = "opacity:.65;font-size:85%"
_ASIDE_STYLE = "border-left:3px solid #888;padding:2px 0 2px 10px;margin:4px 0"
_CALL_STYLE = "border-left:3px solid #3b7dd8;padding:2px 0 2px 10px;margin:4px 0"
_ERROR_STYLE = "border-left:3px solid #d1495b;padding:2px 0 2px 10px;margin:4px 0;overflow:auto"
_WRAPPED_STYLE = "white-space:pre-wrap;overflow-wrap:anywhere"
_BOUNDED_STYLE = "max-height:24em;overflow:auto"


def segment_to_html(segment: Segment, *, is_growing: bool = False) -> str:
    """Return a segment as HTML; of what the model is still thinking, or giving to a tool, the end."""
    match segment:
        case ReasoningSegment():
            return _reasoning_to_html(segment, is_growing=is_growing)
        case ToolCallSegment():
            return _call_to_html(segment, is_growing=is_growing)
        case TextSegment(text=text):
            return markdown_to_html(text)


def quiet_line_to_html(line: str) -> str:
    """Return a line that is read only by who looks for it."""
    return f'<div style="{_QUIET_STYLE}">{lines_to_html(line)}</div>' if line else ""


def error_to_html(text: str) -> str:
    """Return a traceback, which keeps its lines as they are."""
    return f'<pre style="{_ERROR_STYLE}">{escape_text(text)}</pre>'


def output_to_html(text: str) -> str:
    """Return what code or a tool gave back, whose columns stand below each other."""
    return f'<pre style="{_WRAPPED_STYLE};margin:0;background:transparent">{escape_text(text)}</pre>'


def json_to_html(text: str) -> str:
    """Return JSON, whole or as far as it is written, as it stands."""
    return _code_block(highlight_code(text, "json"))


def _reasoning_to_html(segment: ReasoningSegment, *, is_growing: bool) -> str:
    is_open = " open" if segment.ended_seconds is None else ""
    text = newest(segment.text) if is_growing else segment.text
    return (
        f'<details{is_open} style="{_ASIDE_STYLE};opacity:.75"><summary>{escape(reasoning_title(segment))}'
        f'</summary><div style="{_WRAPPED_STYLE};margin-top:4px">{lines_to_html(text)}</div></details>'
    )


def _call_to_html(call: ToolCallSegment, *, is_growing: bool) -> str:
    result = ""
    if call.result is not None and not call.result.is_shown:
        result = f'<div style="{_BOUNDED_STYLE}">{_result_to_html(call.result)}</div>'
    style = _ERROR_STYLE if call.result is not None and call.result.is_error else _CALL_STYLE
    return f'<div style="{style}">{_signature_to_html(call, is_growing=is_growing)}{result}</div>'


def _signature_to_html(call: ToolCallSegment, *, is_growing: bool) -> str:
    if call.code is not None:
        code = highlight_code(unmasked(newest(call.code) if is_growing else call.code), "python")
        return _named_block(call.name, code)
    one_line = call_to_text(call)
    if len(one_line) <= LONG_CALL_CHARS:
        return f"<code>{escape(one_line)}</code>"
    arguments = newest(call.arguments) if is_growing else call.arguments
    # All of it: the user may be asked whether it is to be done.
    table = None if is_growing else json_to_table(arguments, is_whole=True)
    if table is not None:
        shown = unmasked(table)  # JSON can spell a mark of direction
        return f'<code>{escape(call.name)}</code><div style="{_BOUNDED_STYLE}">{shown}</div>'
    return _named_block(call.name, escape(unmasked(arguments)))


def _named_block(name: str, code: str) -> str:
    return f"<code>{escape(name)}</code>{_code_block(code)}"


def _code_block(code: str) -> str:
    # JupyterLab gives `code` a background of its own.
    inner = f'<code style="background:transparent">{code}</code>'
    # Wrapped, since what lies off the right edge is not seen by who is to allow it.
    return f'<pre style="{CODE_STYLE};{_WRAPPED_STYLE}">{inner}</pre>'


def _result_to_html(result: ToolResult) -> str:
    if result.is_error:
        return f'<div style="{_WRAPPED_STYLE}"><b>error</b> {lines_to_html(shown_result(result.text))}</div>'
    table = json_to_table(result.text)
    return table or f'<div style="{_WRAPPED_STYLE}">→ {lines_to_html(shown_result(result.text))}</div>'
