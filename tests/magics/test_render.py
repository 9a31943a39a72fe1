import json
import re
from html.parser import HTMLParser

import pytest
from typing_extensions import override

from jupyter_mlx_gpt_oss.client.client import Progress
from jupyter_mlx_gpt_oss.magics.json_table import rows_to_table
from jupyter_mlx_gpt_oss.magics.render_html import error_to_html, quiet_line_to_html, segment_to_html
from jupyter_mlx_gpt_oss.magics.render_text import (
    GROWING_CHARS,
    closing_line,
    progress_line,
    segment_to_text,
)
from jupyter_mlx_gpt_oss.magics.segments import (
    ReasoningSegment,
    Segment,
    TextSegment,
    ToolCallSegment,
    ToolResult,
    Usage,
)
from jupyter_mlx_gpt_oss.magics.transcript import Transcript

EVIL = "<script>alert(1)</script> $x$"


def test_reasoning_is_open_while_it_streams_and_closed_with_its_length_and_seconds() -> None:
    streaming = ReasoningSegment(0, "Let me think.", 1.0)
    done = ReasoningSegment(0, "Let me think.", 1.0, 3.5)

    assert segment_to_html(streaming).startswith("<details open ")
    assert segment_to_html(done).startswith("<details style")
    assert "<summary>Reasoning: 3 words, 2.5 s</summary>" in segment_to_html(done)
    assert segment_to_text(done) == "[Reasoning: 3 words, 2.5 s]\nLet me think."


def test_a_call_shows_its_arguments_then_its_result() -> None:
    call = ToolCallSegment(0, 0, "a", "get_weather", '{"city": "Kyoto", "days": 2}')
    done = ToolCallSegment(0, 0, "a", "get_weather", '{"city": "Kyoto"}', ToolResult("sunny"))
    failed = ToolCallSegment(0, 0, "a", "get_weather", "{}", ToolResult("KeyError: x", is_error=True))

    assert "<code>get_weather(city=&quot;Kyoto&quot;, days=2)</code>" in segment_to_html(call)
    assert "→ sunny" in segment_to_html(done)
    assert "<b>error</b> KeyError: x" in segment_to_html(failed)
    assert segment_to_text(done) == '[tool] get_weather(city="Kyoto")\n[result of get_weather] sunny'
    assert segment_to_text(failed) == "[tool] get_weather()\n[error of get_weather] KeyError: x"


def test_arguments_that_are_cut_off_stand_as_they_came() -> None:
    assert segment_to_text(ToolCallSegment(0, 0, "a", "f", '{"x": ')) == '[tool] f({"x": )'
    assert segment_to_text(ToolCallSegment(0, 0, "a", "f", "[1]")) == "[tool] f([1])"


def test_long_arguments_stand_in_a_table_and_what_is_no_json_in_a_block() -> None:
    call = ToolCallSegment(0, 0, "a", "run", '{"code": "' + "x = 1; " * 30 + '"}')

    assert ">code</th>" in segment_to_html(call)
    assert "<pre" in segment_to_html(ToolCallSegment(0, 0, "a", "run", "{" + "x" * 200))


def test_a_result_that_is_json_stands_in_a_table() -> None:
    result = ToolResult('{"sky": "sunny", "hours": [9, 12]}')
    html = segment_to_html(ToolCallSegment(0, 0, "a", "f", "{}", result))

    assert ">sky</th>" in html
    assert ">sunny</td>" in html
    assert ">[9, 12]</td>" in html


def test_of_what_grows_the_end_is_shown_and_all_of_it_when_it_is_whole() -> None:
    lines = "first\\n" + "".join(f"line_{number}\\n" for number in range(1000))
    code = ToolCallSegment(0, 0, "a", "python", '{"code": "' + lines)
    arguments = ToolCallSegment(0, 0, "a", "write", '{"text": "' + lines)
    for segment in (ReasoningSegment(0, lines, 0.0), code, arguments):
        for render in (segment_to_html, segment_to_text):
            shown = render(segment, is_growing=True)
            assert "line_999" in shown
            assert "first" not in shown
            assert len(shown) < 3 * GROWING_CHARS
            assert "first" in render(segment)


def test_json_without_an_end_of_its_brackets_is_text() -> None:
    segment = ToolCallSegment(0, 0, "a", "f", "[" * 100_000, ToolResult("[" * 100_000))

    assert "[[[" in segment_to_html(segment)
    assert "[[[" in segment_to_text(segment)


@pytest.mark.parametrize(
    "segment",
    [
        ReasoningSegment(0, EVIL, 0.0),
        TextSegment(0, EVIL),
        ToolCallSegment(0, 0, "a", EVIL, EVIL, ToolResult(EVIL, is_error=True)),
        ToolCallSegment(0, 0, "a", EVIL, "{" + EVIL * 10, ToolResult(EVIL)),
        ToolCallSegment(
            0, 0, "a", EVIL, json.dumps({EVIL: EVIL * 10}), ToolResult(json.dumps([{EVIL: EVIL}]))
        ),
    ],
)
def test_no_text_becomes_an_element(segment: Segment) -> None:
    assert "<script" not in segment_to_html(segment)


def test_lines_and_tables_are_escaped() -> None:
    assert "<script" not in quiet_line_to_html(EVIL) + rows_to_table([(EVIL, EVIL)])
    assert quiet_line_to_html("") == ""


# What GitHub keeps of a notebook's HTML (github.com/gjtorikian/html-pipeline, its sanitization filter), and
# JupyterLab of one that is not trusted.
KEPT_TAGS = re.compile(
    "a|b|blockquote|br|code|del|details|div|em|h[1-6]|hr|li|ol|p|pre|span|strong|summary|table|tbody|td|th|thead|tr|ul"
)
EVERYTHING: list[Segment] = [
    ReasoningSegment(0, "Let me think.", 0.0, 1.0),
    TextSegment(
        0,
        "# A\n\n**b** *c* `d` [e](https://f.org) ~~g~~\n\n> h\n\n1. i\n\n- [x] task\n\n---\n\n| j |\n|---|\n| k |\n\n```py\nl\n```\n$m$",
    ),
    ToolCallSegment(0, 0, "a", "f", '{"n": "' + "o" * 200 + '"}', ToolResult('[{"p": "q"}]')),
    ToolCallSegment(0, 0, "a", "python", '{"code": "r = 1"}', ToolResult("ValueError: s", is_error=True)),
]


def test_what_is_shown_survives_github_and_an_untrusted_notebook() -> None:
    html = "".join(map(segment_to_html, EVERYTHING)) + quiet_line_to_html("t") + rows_to_table([("u", "v")])

    assert all(KEPT_TAGS.fullmatch(tag) for tag in re.findall(r"<([a-z0-9]+)", html))
    assert set(re.findall(r'class="([^"]*)"', html)) == {"math"}
    assert "var(" not in html
    assert " id=" not in html


class _Lines(HTMLParser):
    """What a page without any style shows, line by line."""

    BLOCKS = re.compile("blockquote|br|details|div|h[1-6]|hr|li|ol|p|pre|summary|table|tr|ul")

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text = ""
        self._num_pre = 0
        self.feed(html)
        self.close()

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._num_pre += tag == "pre"
        self.text += "\n" if self.BLOCKS.fullmatch(tag) else " " if tag in {"td", "th"} else ""

    @override
    def handle_endtag(self, tag: str) -> None:
        self._num_pre -= tag == "pre"
        self.text += "\n" if self.BLOCKS.fullmatch(tag) else ""

    @override
    def handle_data(self, data: str) -> None:
        self.text += data if self._num_pre else re.sub(r"\s+", " ", data)


def lines_without_styles(html: str) -> list[str]:
    return [line.strip() for line in _Lines(html).text.split("\n") if line.strip()]


def test_without_styles_no_word_is_lost() -> None:
    for segment in EVERYTHING:
        text = "\n".join(lines_without_styles(segment_to_html(segment)))
        words = re.findall(r"[a-z]{3,}|[A-Za-z]+Error", segment_to_text(segment))
        assert all(word in text for word in words if word not in {"tool", "result", "error", "https", "org"})


LINES = "First $a$,\nthen <b>.\n\nLast:\n  deep"


@pytest.mark.parametrize(
    "html",
    [
        segment_to_html(ReasoningSegment(0, LINES, 0.0, 1.0)),
        segment_to_html(ToolCallSegment(0, 0, "a", "f", "{}", ToolResult(LINES))),
        segment_to_html(ToolCallSegment(0, 0, "a", "f", "{}", ToolResult(LINES, is_error=True))),
        segment_to_html(ToolCallSegment(0, 0, "a", "f", "{}", ToolResult(json.dumps({"x": LINES})))),
        rows_to_table([("Connect", LINES)]),
        error_to_html(LINES),
        quiet_line_to_html(LINES),
    ],
    ids=["reasoning", "result", "error", "table", "rows", "traceback", "quiet"],
)
def test_without_styles_lines_are_lines(html: str) -> None:
    assert [re.sub("^(→|error|x|Connect) ", "", line) for line in lines_without_styles(html)[-4:]] == [
        "First $a$,",
        "then <b>.",
        "Last:",
        "deep",
    ]


def test_without_styles_code_keeps_its_lines() -> None:
    code = "for n in range(3):\n    print(n)"
    call = ToolCallSegment(0, 0, "a", "python", json.dumps({"code": code}), ToolResult("0"))

    assert lines_without_styles(segment_to_html(call))[1:3] == ["for n in range(3):", "print(n)"]


@pytest.mark.parametrize(
    ("progress", "expected"),
    [
        (Progress("queued", 2, 2), "waiting in the queue: 2 requests before this one"),
        (Progress("queued", 0, 0), "waiting in the queue…"),
        (Progress("loading", 2_500_000, 59_000_000), "loading the model: 2 of 59 MB"),
        (Progress("queued"), "waiting in the queue…"),
        (Progress("loading", 0, 0), "loading the model…"),
        (Progress("downloading", 1_500_000_000, 12_000_000_000), "downloading the model: 1,500 of 12,000 MB"),
        (Progress("downloading", 1_500_000_000), "downloading the model: 1,500 MB"),
        (Progress("prefill", 512, 2048), "reading the prompt: 512 of 2,048"),
        (Progress("warming_up"), "warming up the model…"),
        (Progress("new_stage"), "new stage…"),
    ],
)
def test_progress(progress: Progress, expected: str) -> None:
    assert progress_line(progress) == expected


def test_the_closing_line_counts() -> None:
    transcript = Transcript(
        0.0, usage=Usage(200, 150, 30, 10), generating_seconds=1.5, ended_seconds=2.04, finish_reason="stop"
    )

    assert closing_line(transcript) == "30 tokens · 20.0 tokens/s · 150 of 200 prompt tokens cached · 2.0 s"


def test_the_closing_line_says_why_an_answer_is_not_whole() -> None:
    assert closing_line(Transcript(0.0, finish_reason="length", ended_seconds=1.0)) == (
        "cut off at its length limit · 1.0 s"
    )
    assert closing_line(Transcript(0.0).end(1.0, "interrupted")) == "interrupted · 1.0 s"
