r"""Turn the model's Markdown into HTML that is safe in a trusted notebook.

SAFETY: the model's text is data. No HTML of its own passes, no image is loaded (an image becomes a link), no
link runs a script, a formula is only a formula, and a stray dollar is no math. JupyterLab sanitises nothing that a running cell displays,
so this file is the border. Math is `$…$`, `$$…$$`, and GPT-OSS's own `\(…\)` and `\[…\]`.
"""

import re
from html import escape, unescape

import mistune
from mistune.block_parser import BlockParser
from mistune.core import BlockState, InlineState
from mistune.inline_parser import InlineParser
from typing_extensions import override

from jupyter_mlx_gpt_oss.magics.highlight import highlight_code
from jupyter_mlx_gpt_oss.magics.markdown_table import tables_as_github_has_them

CODE_STYLE = (
    "background:rgba(128,128,128,.1);padding:8px;overflow:auto;white-space:pre;margin:8px 0;border-radius:3px"
)
_SAFE_URL = re.compile(r"https?://|mailto:|#", re.IGNORECASE)

_INLINE_MATH = (
    r"\\\((?P<paren_math>[\s\S]+?)\\\)"
    r"|\\\[(?P<bracket_math>[\s\S]+?)\\\]"
    r"|\$\$(?P<dollars_math>[^$]+?)\$\$"
    r"|\$(?P<dollar_math>(?![\s$])(?:[^$\\\n]|\\.)*?(?<!\s))\$(?!\d)"
)
_BLOCK_MATH = r"^ {0,3}(?:\$\$(?P<block_dollars_math>[^$]+?)\$\$|\\\[(?P<block_bracket_math>[\s\S]+?)\\\])[ \t]*(?:\n|$)"
# What makes more than a formula of TeX in JupyterLab's MathJax: links, styles, fonts, ids, and definitions that outlive
# the cell. (MathJax: its packages html, bbox, base, require, unicode, newcommand and mathtools, all of which JupyterLab
# loads.)
_UNSAFE_TEX = re.compile(
    r"\\(?:href|url|style|class|cssId|data|html[A-Za-z]*|bbox|unicode|mmlToken|require|includegraphics|[gex]?def|let"
    r"|definecolor|[nN]ew[A-Za-z]+|renew[A-Za-z]+|provide[A-Za-z]+|Declare[A-Za-z]+|mathtoolsset|usetagform)(?![A-Za-z])"
)


def markdown_to_html(text: str) -> str:
    """Return `text` as HTML. It may be cut anywhere, as it is while it streams."""
    html = _build_parser()(text)
    assert isinstance(html, str)  # mistune returns tokens only without a renderer
    return html


def escape_text(text: str) -> str:
    """Escape `text` for HTML, and keep MathJax from finding a formula, an environment or a reference in it.

    MathJax looks for what begins one within a run of text; an element around each dollar and backslash breaks the run
    (docs.mathjax.org, "TeX and LaTeX math delimiters").
    """
    return escape(text).replace("$", "<span>$</span>").replace("\\", "<span>\\</span>")


def lines_to_html(text: str) -> str:
    """Escape `text` like `escape_text`, in lines that stay lines where styles are dropped."""
    return escape_text(text).replace("\n", "<br>")


class _SafeRenderer(mistune.HTMLRenderer):
    """Mistune's renderer with the doors closed that `escape=True` leaves open."""

    @override
    def text(self, text: str) -> str:
        return escape_text(unescape(text))

    @override
    def link(self, text: str, url: str, title: str | None = None) -> str:
        if not _is_safe_url(url):
            return f"{text} ({escape_text(url)})" if url != text else text
        return f'<a href="{escape(url)}" target="_blank" rel="noopener noreferrer">{text}</a>'

    @override
    def image(self, text: str, url: str, title: str | None = None) -> str:
        return self.link(text or escape_text(url), url)

    @override
    def block_code(self, code: str, info: str | None = None) -> str:
        language = (info or "").split(maxsplit=1)[0] if (info or "").strip() else ""
        # JupyterLab gives `code` a background of its own.
        coloured = f'<code style="background:transparent">{highlight_code(code, language)}</code>'
        return f'<pre style="{CODE_STYLE}">{coloured}</pre>\n'

    def task_list_item(self, text: str, *, checked: bool = False) -> str:
        # GitHub drops a checkbox, and with it whether the task is done.
        box = "☑ " if checked else "☐ "
        content = text.replace("<p>", f"<p>{box}", 1) if text.startswith("<p>") else box + text
        return f'<li style="list-style:none">{content}</li>\n'

    def inline_math(self, text: str) -> str:
        return _formula("span", "$", text)

    def display_math(self, text: str) -> str:
        return _formula("span", "$$", text)

    def block_math(self, text: str) -> str:
        return _formula("div", "$$", f"\n{text.strip()}\n") + "\n"


def _formula(tag: str, delimiter: str, text: str) -> str:
    source = f"{delimiter}{escape(text)}{delimiter}"
    if _UNSAFE_TEX.search(text):
        return f"<{tag}><code>{source}</code></{tag}>"  # MathJax leaves code alone
    return f'<{tag} class="math">{source}</{tag}>'


def _is_safe_url(url: str) -> bool:
    # Browsers drop control characters and leading spaces before they read the scheme.
    return bool(_SAFE_URL.match(re.sub(r"[\x00-\x20\x7f]", "", url)))


def _parse_inline_math(_parser: InlineParser, match: re.Match[str], state: InlineState) -> int:
    text = match["paren_math"] or match["dollar_math"]
    kind = "inline_math"
    if not text:
        text, kind = match["bracket_math"] or match["dollars_math"], "display_math"
    state.append_token({"type": kind, "raw": text})
    return match.end()


def _parse_block_math(_parser: BlockParser, match: re.Match[str], state: BlockState) -> int:
    text = match["block_dollars_math"] or match["block_bracket_math"]
    state.append_token({"type": "block_math", "raw": text})
    return match.end()


def _parse_line_break(_parser: InlineParser, match: re.Match[str], state: InlineState) -> int:
    state.append_token({"type": "linebreak"})  # how a cell of a table has a second line
    return match.end()


def _build_parser() -> mistune.Markdown:
    parser = mistune.create_markdown(
        renderer=_SafeRenderer(escape=True),
        plugins=["strikethrough", "task_lists", "url", tables_as_github_has_them],
    )
    # Without these rules `<` is a character like any other, and the Markdown beside it stays Markdown.
    parser.inline.rules.remove("inline_html")
    for rules in (parser.block.rules, parser.block.block_quote_rules, parser.block.list_rules):
        rules.remove("raw_html")
    parser.inline.register("oss_line_break", r"<[bB][rR] ?/?>", _parse_line_break, before="escape")
    parser.inline.register("oss_inline_math", _INLINE_MATH, _parse_inline_math, before="escape")
    parser.block.register("oss_block_math", _BLOCK_MATH, _parse_block_math, before="list")
    return parser
