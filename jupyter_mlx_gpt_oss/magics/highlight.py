"""Colour source code in colours that are readable on white and on black, in inline styles alone.

A page's own style sheet knows nothing of our classes, and a notebook that is opened untrusted drops every
`var(--…)`: so there are no classes and no theme variables, only colours of middle luminance. One colour has a contrast
of at most 4.3:1 with both white and JupyterLab's dark #111111; so each is mixed with the colour of the page's text, which
makes it darker on white and lighter on black, and 4.5:1 and more on both (WCAG 2.2, AA). A sanitizer drops the mixture,
and leaves the colour.
"""

import re
from typing import ClassVar

from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from pygments.lexers.special import TextLexer
from pygments.style import Style
from pygments.token import Comment, Keyword, Name, Number, Operator, String, _TokenType
from pygments.util import ClassNotFound

TEXT_PERCENT = 35
"""How much of the text's colour is in each."""
_COLOUR = re.compile(r'style="color: (#[0-9A-F]{6})')
_MIXTURE = rf'style="color:\1;color:color-mix(in srgb,currentColor {TEXT_PERCENT}%,\1)'


class NeutralStyle(Style):
    """Colours of middle luminance."""

    styles: ClassVar[dict[_TokenType, str]] = {
        Comment: "italic #767676",
        Keyword: "#9a5fd0",
        Keyword.Constant: "#b8651b",
        Name.Builtin: "#198a8a",
        Name.Class: "#3b7dd8",
        Name.Decorator: "#198a8a",
        Name.Exception: "#d1495b",
        Name.Function: "#3b7dd8",
        Name.Tag: "#9a5fd0",
        Number: "#b8651b",
        Operator.Word: "#9a5fd0",
        String: "#3f8a3f",
    }


def highlight_code(code: str, language: str) -> str:
    """Return `code` as escaped HTML with coloured spans; plain where the language is unknown."""
    try:
        lexer = get_lexer_by_name(language, stripnl=False, ensurenl=False)
    except ClassNotFound:
        lexer = TextLexer(stripnl=False, ensurenl=False)
    formatter: HtmlFormatter[str] = HtmlFormatter(nowrap=True, noclasses=True, style=NeutralStyle)
    return _COLOUR.sub(
        _MIXTURE, highlight(code, lexer, formatter)
    )  # of the code itself, every quote is escaped
