import re
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typing_extensions import override

from jupyter_mlx_gpt_oss.magics.highlight import TEXT_PERCENT, NeutralStyle, highlight_code
from jupyter_mlx_gpt_oss.magics.markdown import escape_text, markdown_to_html
from tests.support.attacks import ATTACKS

SAFE_TAGS = frozenset(
    [
        "a",
        "blockquote",
        "br",
        "code",
        "del",
        "div",
        "em",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "hr",
        "li",
        "ol",
        "p",
        "pre",
        "span",
        "strong",
        "table",
        "tbody",
        "td",
        "th",
        "thead",
        "tr",
        "ul",
    ]
)
SAFE_ATTRIBUTES = frozenset(["class", "href", "rel", "start", "style", "target"])


class _Elements(HTMLParser):
    """Every tag and attribute of a page, as a browser would read them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(html)
        self.close()

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs


def assert_harmless(html: str) -> None:
    elements = _Elements(html)
    assert elements.tags <= SAFE_TAGS
    assert {name for name, _ in elements.attributes} <= SAFE_ATTRIBUTES
    for name, value in elements.attributes:
        if name == "href":
            assert re.match(r"https?://|mailto:|#", value or "")
        assert name != "style" or "url(" not in (value or "")


@pytest.mark.parametrize("attack", ATTACKS)
def test_no_attack_passes(attack: str) -> None:
    assert_harmless(markdown_to_html(attack))


@pytest.mark.parametrize("attack", ATTACKS)
def test_no_attack_passes_while_it_streams(attack: str) -> None:
    for length in range(len(attack)):
        assert_harmless(markdown_to_html(attack[:length]))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([*"<>\"'`$\\()[]!#*_|~:\n -/&;x", *ATTACKS]), max_size=30).map("".join))
def test_no_mixture_of_attacks_passes(text: str) -> None:
    assert_harmless(markdown_to_html(text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("**Ada**", "<strong>Ada</strong>"),
        ("## Title", "<h2>Title</h2>"),
        ("a < b and List<int>", "a &lt; b and List&lt;int&gt;"),
        ("<b>x</b> **y**", "&lt;b&gt;x&lt;/b&gt; <strong>y</strong>"),
        ("AT&amp;T &copy;", "AT&amp;T ©"),
        ("| a |\n|---|\n| 1 |", "<td>1</td>"),
        ("see https://mlx.io/x?a=1&b=2", 'href="https://mlx.io/x?a=1&amp;b=2"'),
        ("![a cat](https://e.org/cat.png)", '<a href="https://e.org/cat.png"'),
        ("~~old~~", "<del>old</del>"),
    ],
)
def test_markdown(text: str, expected: str) -> None:
    assert expected in markdown_to_html(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"so \(x^2\) it is", '<span class="math">$x^2$</span>'),
        ("so $x < y$ it is", '<span class="math">$x &lt; y$</span>'),
        ("\\[\na\n- b\n\\]", '<div class="math">$$\na\n- b\n$$</div>'),
        ("$$\na_1 * b_1 * c\n$$", '<div class="math">$$\na_1 * b_1 * c\n$$</div>'),
        (r"inside \[ a \] a line", '<span class="math">$$ a $$</span>'),
        ("- item \\(y_1\\) and \\(y_2\\)", '<span class="math">$y_1$</span>'),
    ],
)
def test_math(text: str, expected: str) -> None:
    assert expected in markdown_to_html(text)


@pytest.mark.parametrize("text", ["It costs $5 and $10.", "`$x$`", r"\$x\$", "a $ b $ c"])
def test_a_dollar_that_is_no_math_is_not_typeset(text: str) -> None:
    html = re.sub(r"<code>.*?</code>", "", markdown_to_html(text))

    assert "math" not in html
    assert "$" not in html.replace("<span>$</span>", "")


def test_escaped_text_holds_no_math_delimiters() -> None:
    assert escape_text("$a$ <b>") == "<span>$</span>a<span>$</span> &lt;b&gt;"
    assert escape_text(r"\[ \begin{align}") == r"<span>\</span>[ <span>\</span>begin{align}"


@pytest.mark.parametrize(
    "tex",
    [
        r"\href{javascript:alert(1)}{x}",
        r"\style{background:url(http://leak.test/)}{x}",
        r"\bbox[background:url(http://leak.test/)]{x}",
        r"\mmlToken{mi}[href='javascript:alert(1)']{x}",
        r"\unicode[url(http://leak.test/x)]{65}",
        r"\def\frac{x}",
        r"\let\x\href",
        r"\newcommand{\x}{y}",
        r"\Newextarrow{\frac}{1,1}{0x2192}",
        r"\require{html}",
    ],
)
@pytest.mark.parametrize("form", ["${}$", r"\({}\)", "$${}$$", "\\[\n{}\n\\]"])
def test_a_formula_that_is_more_than_a_formula_is_shown_as_it_stands(tex: str, form: str) -> None:
    html = markdown_to_html(form.replace("{}", tex, 1))

    assert 'class="math"' not in html
    assert "<code>" in html


def test_a_formula_within_a_text_within_a_formula_is_looked_at_too() -> None:
    assert 'class="math"' not in markdown_to_html(r"\[ \text{$\class{x}{y}$} \]")


def test_a_formula_may_have_words_that_begin_like_those() -> None:
    html = markdown_to_html(r"$\displaystyle \leteq \textstyle$")

    assert 'class="math"' in html


def test_code_is_coloured_without_classes_or_variables() -> None:
    html = markdown_to_html("```python\ndef f(): return '<b>'\n```")

    assert ">def</span>" in html
    assert "&lt;b&gt;" in html
    assert "class=" not in html
    assert "var(" not in html


def test_code_of_an_unknown_language_is_plain() -> None:
    assert highlight_code("a < b\n", "klingon") == "a &lt; b\n"


Colour = tuple[float, ...]


def read(colour: str) -> Colour:
    return tuple(int(colour.lstrip("#")[at : at + 2], 16) for at in (0, 2, 4))


def over(top: Colour, alpha: float, below: Colour) -> Colour:
    return tuple(a * alpha + b * (1 - alpha) for a, b in zip(top, below, strict=True))


def luminance(colour: Colour) -> float:
    """WCAG 2.2, relative luminance."""
    red, green, blue = (
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (p / 255 for p in colour)
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: Colour, other: Colour) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


# JupyterLab's light and dark theme, VS Code's dark one: text, page.
@pytest.mark.parametrize(
    ("text", "page"), [("#212121", "#ffffff"), ("#ffffff", "#111111"), ("#cccccc", "#1f1f1f")]
)
@pytest.mark.parametrize("style", sorted({value for value in NeutralStyle.styles.values() if value}))
def test_code_is_readable_in_a_light_and_in_a_dark_theme(style: str, text: str, page: str) -> None:
    block = over((128, 128, 128), 0.1, read(page))
    colour = read(style.rsplit(maxsplit=1)[-1])
    mixed = over(read(text), TEXT_PERCENT / 100, colour)

    assert contrast(mixed, block) >= 4.5
    assert contrast(colour, block) >= 3.0  # where a sanitizer drops what mixes them


def test_a_colour_is_mixed_with_that_of_the_text_and_stands_alone_where_nothing_mixes() -> None:
    assert highlight_code("pass", "python") == (
        '<span style="color:#9A5FD0;color:color-mix(in srgb,currentColor 35%,#9A5FD0)">pass</span>\n'
    )


@pytest.mark.parametrize(
    ("table", "rows"),
    [
        ("| a | b |\n|---|---|\n| 1 |\n| 2 | 3 | 4 |", [["a", "b"], ["1", ""], ["2", "3"]]),
        ("a | b\n--|--\n1 | 2", [["a", "b"], ["1", "2"]]),
        ("Text:\n| a |\n|:-:|\n| `x\\|y` |\n\nEnd", [["a"], ["<code>x|y</code>"]]),
        ("- item\n\n  | a | b |\n  |---|---|\n  | 1 | 2 |", [["a", "b"], ["1", "2"]]),
        ("| a | b |\n|---|---|", [["a", "b"]]),
        ("a | b\n---", []),
        ("| a | b |\n|---|\n| 1 | 2 |", []),
        ("| a |\n|---|\n```\n|x|\n```", [["a"]]),
    ],
)
def test_a_table_is_one_for_github_and_for_us(table: str, rows: list[list[str]]) -> None:
    html = markdown_to_html(table)

    found = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in re.findall("(?s)<tr>.*?</tr>", html)]
    assert found == rows


def test_a_table_keeps_its_alignment() -> None:
    html = markdown_to_html("| a | b | c |\n|:--|:-:|--:|\n| 1 | 2 | 3 |")

    assert re.findall(r"<td[^>]*text-align:(\w+)", html) == ["left", "center", "right"]


def test_tasks_are_text() -> None:
    html = markdown_to_html("- [ ] read\n- [x] **write**\n\n  more")

    assert "<input" not in html
    assert "☐ read" in html
    assert "☑ <strong>write</strong>" in html


def test_a_cell_of_a_table_may_have_lines() -> None:
    html = markdown_to_html("| a |\n|---|\n| x<br>y<BR/>z |")
    assert html.count("<br />") == 2
    assert "&lt;" not in html
    assert "<br" not in markdown_to_html("a<br onclick=x>b")
