"""`%%oss` in a real JupyterLab, in a real browser; the model plays what these tests have written down.

Set UPDATE_PICTURES=1 to put the pictures of this run into docs/images.
"""

import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.support.answer_book import ENGINE
from tests.support.contrast import least_contrast
from tests.support.jupyter_process import JupyterProcess, jupyter_process
from tests.support.notebook_page import (
    LOAD,
    ROOT,
    NotebookPage,
    ask_server,
    lab_arguments,
    needs_browser,
    open_pages,
    take_picture,
)
from tests.support.notebook_scenes import (
    BALL,
    BALL_THOUGHT,
    BOOK,
    ENDLESS,
    FIRST,
    FRAME,
    PLOT,
    SECOND,
    SLOW_BALL,
    THINKING,
    TOOLS,
    WEATHER,
    WRITING,
)

pytestmark = needs_browser

MODEL = "--GptOss.model=gpt-oss-20b"
AA = 4.5  # WCAG 2.2, contrast of text
NUM_LINES = """cells => cells.map(cell => {
    const text = document.createRange();
    text.selectNodeContents(cell);
    return text.getClientRects().length;
})"""
THEMES = "lab/api/settings/@jupyterlab/apputils-extension:themes"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JupyterProcess]:
    home = tmp_path_factory.mktemp("lab")
    BOOK.write(home)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        with jupyter_process(home, *lab_arguments(home), ENGINE, MODEL) as server:
            yield server


@pytest.fixture(scope="module")
def pages() -> Iterator[BrowserContext]:
    with open_pages(1000, 760, scale=1.5) as pages:
        yield pages


@pytest.fixture
def page(pages: BrowserContext) -> Iterator[Page]:
    with pages.new_page() as page:
        yield page


@pytest.fixture
def notebook(page: Page, server: JupyterProcess) -> NotebookPage:
    return NotebookPage(page, server)


def test_an_answer_grows_while_it_comes_and_its_reasoning_closes_itself(notebook: NotebookPage) -> None:
    notebook.create([LOAD, f"%%oss\n{SLOW_BALL}"], "Throw.ipynb")
    notebook.run(0, 1)
    output = notebook.output(1)
    expect(output.locator("details[open]")).to_contain_text("over g. At 45")
    notebook.shot("lab-reasoning")
    early = output.inner_text()
    THINKING.open(notebook.server.home)
    expect(output.locator("details:not([open])")).to_be_visible()
    expect(output).to_contain_text("35.3")
    later = output.inner_text()
    notebook.picture("lab-streaming", 1)
    WRITING.open(notebook.server.home)
    expect(output).to_contain_text("tokens/s")
    whole = output.inner_text()
    notebook.shot("lab-answer")

    assert "lands after" not in early
    assert "lands after" in later
    assert "|" not in later  # the table is a table from its first row on
    assert len(later) < len(whole)
    assert output.locator("summary").inner_text().startswith(f"Reasoning: {len(BALL_THOUGHT.split())} words")
    assert output.locator("mjx-container").count() >= 2
    assert output.locator("td strong").inner_text() == "40.8 m"
    assert output.locator("pre span[style]", has_text="return").count() == 1


def test_tools_show_their_calls_and_their_results(notebook: NotebookPage) -> None:
    notebook.create([LOAD, TOOLS, f"%%oss\n{WEATHER}"], "Umbrella.ipynb")
    notebook.run(0, 1, 2)
    output = notebook.output(2)
    expect(output).to_contain_text("tokens/s")
    notebook.picture("lab-tool", 2)

    assert output.locator("code", has_text='find_city(name="Kyoto")').count() == 1
    assert output.locator("tr", has_text="country").inner_text().split() == ["country", "Japan"]
    assert output.locator("table.dataframe").inner_text().split()[:2] == ["degrees", "sky"]
    assert output.locator("strong").inner_text() == "Wednesday"


def test_code_runs_after_a_yes_and_its_figure_is_shown(notebook: NotebookPage) -> None:
    notebook.create([LOAD, FRAME, f"%%oss --python ask\n{PLOT}"], "Rides.ipynb")
    notebook.run(0, 1, 2)
    output = notebook.output(2)
    reply = output.locator(".jp-Stdin-input")
    reply.wait_for()
    expect(output.locator("pre").first).to_contain_text('rides.nlargest(3, "bikes")')
    assert output.locator("img").count() == 0
    notebook.shot("lab-python-ask")
    reply.fill("y")
    reply.press("Enter")
    expect(output).to_contain_text("tokens/s")
    notebook.picture("lab-python", 2)

    assert output.locator("img").count() == 1
    assert output.locator("table.dataframe").count() == 1
    assert "Traceback" not in output.inner_text()


def test_everything_is_readable_in_a_light_and_in_a_dark_theme(notebook: NotebookPage) -> None:
    cells = [
        LOAD,
        TOOLS,
        FRAME,
        f"%%oss\n{BALL}",
        f"%%oss --new\n{WEATHER}",
        f"%%oss --new --python auto\n{PLOT}",
    ]
    notebook.create([*cells, "%%oss --python never\nHi", "%oss history"], "Themes.ipynb")
    notebook.run_all()
    notebook.wait_until_done(6)
    notebook.run(7)
    notebook.wait_until_done(7)
    notebook.save()
    for theme in ("Light", "Dark"):
        ask_server(notebook.server, "PUT", THEMES, {"raw": json.dumps({"theme": f"JupyterLab {theme}"})})
        notebook.open()
        for index in (3, 4, 5, 7):
            contrast, text = least_contrast(notebook.output(index))
            assert contrast >= AA, f"{theme}: {text!r}"
            assert "Traceback" not in notebook.output(index).inner_text()
            take_picture(notebook.cell(index), f"lab-{theme.lower()}-{index}")
        notebook.picture(f"lab-{theme.lower()}", 3)
    assert notebook.output(7).locator("th").evaluate_all(NUM_LINES) == [1, 1, 1, 1]
    ask_server(notebook.server, "PUT", THEMES, {"raw": "{}"})


def test_interrupting_stops_the_answer_and_keeps_what_came(notebook: NotebookPage) -> None:
    notebook.create([LOAD, f"%%oss\n{ENDLESS}", "never = 1"], "Interrupt.ipynb")
    notebook.run_all()
    output = notebook.output(1)
    expect(output).to_contain_text("One, two, three,")
    notebook.page.locator('[data-command="notebook:interrupt-kernel"]').first.click()
    expect(output).to_contain_text("the generation is stopped")
    notebook.wait_until_idle()
    notebook.shot("lab-interrupt")

    assert "One, two, three," in output.inner_text()
    assert "Traceback" not in output.inner_text()
    assert notebook.prompt(2).inner_text().strip() == "[ ]:"
    assert ask_server(notebook.server, "GET", "gpt-oss/health")["active_requests"] == 0


def test_a_cell_that_fails_says_so_in_a_line_and_stops_run_all(notebook: NotebookPage) -> None:
    notebook.create([LOAD, "%%oss -t find_city\nWhere is Kyoto?", "never = 1"], "Error.ipynb")
    notebook.run_all()
    output = notebook.output(1)
    expect(output).to_contain_text("the notebook has no function of that name")
    notebook.wait_until_idle()
    notebook.shot("lab-error")

    assert len(output.inner_text().strip().splitlines()) == 1
    assert notebook.prompt(2).inner_text().strip() == "[ ]:"


def test_a_notebook_that_is_run_twice_holds_the_same_conversation(notebook: NotebookPage) -> None:
    notebook.create([LOAD, f"%%oss\n{FIRST}", f"%%oss\n{SECOND}", "%oss history"], "Twice.ipynb")
    histories = []
    for last_number in ("[4]:", "[8]:"):
        notebook.run_all()
        expect(notebook.prompt(3)).to_have_text(last_number)
        expect(notebook.output(3)).to_contain_text("You are Ada.")
        histories.append(notebook.output(3).inner_text())
    notebook.shot("lab-twice")

    assert histories[0] == histories[1]
    assert histories[0].count("My name is Ada.") == 1
