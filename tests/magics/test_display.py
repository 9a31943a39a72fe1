import io
from collections.abc import Callable
from typing import Any

import pytest

from jupyter_mlx_gpt_oss.magics.display import NotebookDisplay, TerminalDisplay
from jupyter_mlx_gpt_oss.magics.pages import MAX_PAGE_CHARS, PAGE_CHARS
from jupyter_mlx_gpt_oss.magics.render_text import GROWING_CHARS
from jupyter_mlx_gpt_oss.magics.segments import ToolResult
from jupyter_mlx_gpt_oss.magics.transcript import Transcript
from tests.magics.test_transcript import fold
from tests.support.canned_server import delta, ending, tool_delta


class Page:
    """What a notebook's page shows, and every message that changed it; publishing takes a while."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.publish_seconds = 0.0
        self.outputs: dict[str, str] = {}
        self.messages: list[str] = []
        self.timers: list[tuple[float, Callable[[], None]]] = []
        self.num_before_ctrl_c = -1

    def publish(self, data: dict[str, str], *, transient: Any, update: bool) -> None:
        if self.num_before_ctrl_c == 0:
            self.num_before_ctrl_c = -1
            raise KeyboardInterrupt
        self.num_before_ctrl_c -= 1
        assert set(data) == {"text/html", "text/plain"}
        assert update == (transient["display_id"] in self.outputs)
        self.outputs[transient["display_id"]] = data["text/plain"]
        self.messages.append(data["text/plain"])
        self.seconds += self.publish_seconds

    def clock(self) -> float:
        return self.seconds

    def start_timer(self, seconds: float, function: Callable[[], None]) -> None:
        self.timers.append((seconds, function))

    def wait(self) -> None:
        """Let the time pass until every timer has rung."""
        while self.timers:
            seconds, function = self.timers.pop(0)
            self.seconds += seconds
            function()

    @property
    def texts(self) -> list[str]:
        return list(self.outputs.values())


@pytest.fixture
def page() -> Page:
    return Page()


def notebook_display(page: Page, *, hide_reasoning: bool = False) -> NotebookDisplay:
    return NotebookDisplay(
        page.publish, page.clock, 0.05, hide_reasoning=hide_reasoning, start_timer=page.start_timer
    )


def test_each_segment_has_its_own_output(page: Page) -> None:
    transcript = fold(delta(reasoning="Hm."), delta(content="Hello"), ending())

    notebook_display(page).finish(transcript, ["done"])

    assert page.texts == ["[Reasoning: 1 word, 1.0 s]\nHm.", "Hello", "done"]


def test_a_finished_output_is_not_touched_again(page: Page) -> None:
    display = notebook_display(page)
    display.show(fold(delta(reasoning="Hm.")))
    transcript = fold(delta(reasoning="Hm."), delta(content="Hello"))
    display.show(transcript)
    num_reasoning_messages = len([text for text in page.messages if "Hm." in text])
    display.show_at_once(fold(delta(content=" Ada"), onto=transcript))
    display.finish(fold(delta(content=" Ada"), onto=transcript), ["done"])

    assert len([text for text in page.messages if "Hm." in text]) == num_reasoning_messages == 2
    assert page.texts[1] == "Hello Ada"


def test_half_a_character_is_a_mark_and_no_fault(page: Page) -> None:
    display = notebook_display(page)
    display.finish(fold(delta(content="caf\ud83d")), ["done"])
    assert any("caf\N{REPLACEMENT CHARACTER}" in text for text in page.messages)
    assert "".join(page.messages).encode()


def test_updates_wait_until_they_are_due(page: Page) -> None:
    display = notebook_display(page)
    transcript = Transcript(0.0)
    for _ in range(100):
        page.seconds += 0.01
        transcript = fold(delta(content="x"), onto=transcript)
        display.show(transcript)
    display.finish(transcript, ["done"])

    assert len(page.messages) == pytest.approx(20, abs=4)
    assert page.texts == ["x" * 100, "done"]


def test_what_came_is_shown_when_an_update_is_due_though_nothing_more_comes(page: Page) -> None:
    display = notebook_display(page)
    first = fold(delta(content="One, "))
    display.show(first)
    second = fold(delta(content="two, "), onto=first)
    display.show(second)
    display.show(fold(delta(content="three"), onto=second))
    assert page.texts == ["One, "]
    assert [seconds for seconds, _ in page.timers] == [0.05]

    page.wait()

    assert page.texts == ["One, two, three"]


def test_a_timer_that_rings_late_changes_nothing(page: Page) -> None:
    display = notebook_display(page)
    first = fold(delta(content="One, "))
    display.show(first)
    second = fold(delta(content="two"), onto=first)
    display.show(second)
    display.finish(second, ["done"])
    num_messages = len(page.messages)

    page.wait()

    assert page.texts == ["One, two", "done"]
    assert len(page.messages) == num_messages


def test_slow_rendering_makes_updates_rarer(page: Page) -> None:
    page.publish_seconds = 0.1
    display = notebook_display(page)
    transcript = Transcript(0.0)
    for _ in range(100):
        page.seconds += 0.01
        transcript = fold(delta(content="x"), onto=transcript)
        display.show(transcript)

    assert len(page.messages) <= 3


SENTENCE = "It was a dark and stormy night, and the kernel was busy. " * 3


@pytest.mark.parametrize(
    ("piece", "most_chars"),
    [
        (lambda number: delta(content=f"{number}: {SENTENCE}\n\n"), PAGE_CHARS + 200),
        (lambda number: delta(content=f"{number}: {SENTENCE}"), MAX_PAGE_CHARS + 200),
        (lambda number: delta(reasoning=f"{number}: {SENTENCE}"), 2 * GROWING_CHARS),
        (lambda number: tool_delta("write", f"{number}: {SENTENCE}"), 2 * GROWING_CHARS),
        (
            lambda number: tool_delta("python", f"x = {number}  # {SENTENCE}\\n" if number else '{"code": "'),
            2 * GROWING_CHARS,
        ),
    ],
    ids=["paragraphs", "one line", "reasoning", "arguments", "code"],
)
def test_an_update_sends_a_bounded_amount_however_long_the_text_is(
    page: Page, piece: Callable[[int], str], most_chars: int
) -> None:
    display = notebook_display(page)
    transcript = Transcript(0.0)
    for number in range(200):
        page.seconds += 1.0
        transcript = fold(piece(number), onto=transcript)
        display.show(transcript)
    num_messages = len(page.messages)
    largest = max(map(len, page.messages))
    display.finish(fold(ending(), onto=transcript), ["done"])

    assert 200 <= num_messages <= 250
    assert largest <= most_chars
    assert len(page.messages) - num_messages <= 2
    assert str(199) in "".join(page.texts)


def test_the_pages_of_an_answer_are_all_of_it(page: Page) -> None:
    display = notebook_display(page)
    transcript = Transcript(0.0)
    paragraphs = [f"Paragraph {number}: {'dark and stormy ' * 20}\n\n" for number in range(100)]
    for paragraph in paragraphs:
        page.seconds += 1.0
        transcript = fold(delta(content=paragraph), onto=transcript)
        display.show(transcript)
    display.finish(transcript, ["done"])

    assert "".join(page.texts[:-1]) == "".join(paragraphs)
    assert len(page.texts) > 5


def test_what_is_half_written_is_not_shown_before_it_is_whole(page: Page) -> None:
    display = notebook_display(page)
    transcript = Transcript(0.0)
    table = "| a | b |\n|---|---|\n| 1 | **2** |\n\n**Done"
    for number in range(len(table)):
        page.seconds += 1.0
        transcript = fold(delta(content=table[number]), onto=transcript)
        display.show(transcript)
    assert page.texts == [f"{table}**"]
    assert "| a | b |" not in page.messages
    assert "| a | b |\n|---|---|\n| 1 |" in page.messages
    assert len(page.messages) < len(table) / 2

    display.finish(fold(ending(), onto=transcript), ["done"])

    assert page.texts == [table, "done"]


def test_progress_disappears_in_what_follows(page: Page) -> None:
    display = notebook_display(page)
    display.progress("loading the model…")
    display.progress("loading the model…")
    display.progress("reading the prompt: 1 of 2")
    assert page.texts == ["reading the prompt: 1 of 2"]

    display.show(fold(delta(content="Hello")))
    display.progress("waiting")
    display.finish(fold(delta(content="Hello")), ["done"])

    assert page.texts == ["Hello", "done"]
    assert len([text for text in page.messages if text.startswith("loading")]) == 1


def test_hidden_reasoning_shows_only_that_there_is_some(page: Page) -> None:
    display = notebook_display(page, hide_reasoning=True)
    display.show(fold(delta(reasoning="Secret.")))
    assert page.texts == ["reasoning…"]

    display.finish(fold(delta(reasoning="Secret."), delta(content="Hello")), ["done"])

    assert page.texts == ["Hello", "done"]
    assert "Secret" not in "".join(page.messages)


def terminal_text(*transcripts: Transcript, hide_reasoning: bool = False) -> str:
    out = io.StringIO()
    display = TerminalDisplay(out, hide_reasoning=hide_reasoning)
    display.progress("loading")
    for transcript in transcripts:
        display.show(transcript)
    display.finish(transcripts[-1], ["done"])
    return out.getvalue()


def growing() -> list[Transcript]:
    """A transcript after each chunk of a cell with a tool call."""
    steps = [Transcript(0.0)]
    for step in [
        delta(reasoning="Let me "),
        delta(reasoning="look."),
        tool_delta("get_weather", '{"city"', ': "Kyoto"}'),
        ending("tool_calls"),
    ]:
        steps.append(fold(step, onto=steps[-1]))
    (call,) = steps[-1].pending_calls
    steps.append(steps[-1].add_result(call, ToolResult("sunny")).begin_round())
    steps.append(fold(delta(content="It is "), onto=steps[-1]))
    steps.append(fold(delta(content="sunny."), ending(), onto=steps[-1]))
    return steps


EXPECTED_TERMINAL = """[Reasoning]
Let me look.

[tool] get_weather {"city": "Kyoto"}
[result of get_weather] sunny

It is sunny.
[done]
"""


def test_a_terminal_is_written_once() -> None:
    assert terminal_text(*growing()) == EXPECTED_TERMINAL


def test_a_terminal_shows_the_same_at_the_end_as_bit_by_bit() -> None:
    whole = terminal_text(growing()[-1])

    assert whole == EXPECTED_TERMINAL.replace('get_weather {"city": "Kyoto"}', 'get_weather(city="Kyoto")')


def test_a_terminal_hides_reasoning() -> None:
    assert "Let me" not in terminal_text(*growing(), hide_reasoning=True)


@pytest.mark.parametrize("num_before", range(4))
def test_what_ctrl_c_kept_from_the_page_is_on_it_at_the_end(page: Page, num_before: int) -> None:
    paragraphs = [f"Paragraph {number}: {'dark and stormy ' * 20}\n\n" for number in range(60)]
    transcript = fold(delta(content="".join(paragraphs)))
    page.num_before_ctrl_c = num_before
    display = notebook_display(page)

    with pytest.raises(KeyboardInterrupt):
        display.show(transcript)
    display.finish(transcript.end(2.0, "interrupted"), ["interrupted"])

    assert "".join(page.texts) == f"{''.join(paragraphs)}interrupted"


def test_control_characters_of_the_model_do_not_reach_the_screen(page: Page) -> None:
    code = "rm()\x1b[2K\x1b]52;c;x\x07\rprint(1)\x9b2J\x7f\tx\r\ny"
    transcript = fold(delta(content=code))
    notebook_display(page).finish(transcript, ["done"])

    shown = "rm()�[2K�]52;c;x��print(1)�2J�\tx\ny"
    assert terminal_text(transcript) == f"{shown}\n[done]\n"
    assert page.texts == [shown, "done"]  # a Jupyter console prints it
