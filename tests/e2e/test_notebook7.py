"""`%%oss` in a real Notebook 7, in a real browser."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.support.answer_book import ENGINE
from tests.support.contrast import least_contrast
from tests.support.jupyter_process import JupyterProcess, jupyter_process
from tests.support.notebook_page import (
    LOAD,
    ROOT,
    TIMEOUT_MILLISECONDS,
    NotebookPage,
    needs_browser,
    open_browser,
)
from tests.support.notebook_scenes import (
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


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JupyterProcess]:
    home = tmp_path_factory.mktemp("notebook")
    BOOK.write(home)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        with jupyter_process(home, "notebook", "--port=0", ENGINE) as server:
            yield server


@pytest.fixture
def page() -> Iterator[Page]:
    with open_browser() as browser:
        page = browser.new_page(viewport={"width": 1000, "height": 900}, device_scale_factor=1.5)
        page.set_default_timeout(TIMEOUT_MILLISECONDS)
        yield page


def test_run_all_twice_an_interrupt_and_an_error(page: Page, server: JupyterProcess) -> None:
    notebook = NotebookPage(page, server, is_notebook_7=True)
    chat = [LOAD, f"%%oss\n{FIRST}", f"%%oss\n{SECOND}", "%oss history"]
    notebook.create([*chat, f"%%oss -c other\n{ENDLESS}", "%%oss -t nobody\nHi", "never = 1"], "Twice7.ipynb")
    histories = []
    for history_number, last_number in (("[4]:", "[5]:"), ("[9]:", "[10]:")):
        notebook.run_all()
        expect(notebook.prompt(3)).to_have_text(history_number)
        endless = notebook.output(4)
        expect(endless).to_contain_text("One, two, three,")
        page.locator('[data-command="notebook:interrupt-kernel"]').first.click()
        expect(notebook.prompt(4)).to_have_text(last_number)
        expect(endless).to_contain_text("the generation is stopped")
        histories.append(notebook.output(3).inner_text())
    assert notebook.prompt(6).inner_text().strip() == "[ ]:"
    notebook.shot("notebook7-interrupt")
    assert histories[0] == histories[1]
    assert histories[0].count("My name is Ada.") == 1

    notebook.run(5)
    error = notebook.output(5)
    expect(error).to_contain_text("the notebook has no function of that name")
    assert len(error.inner_text().strip().splitlines()) == 1


def test_a_cell_streams_calls_tools_and_runs_code(page: Page, server: JupyterProcess) -> None:
    notebook = NotebookPage(page, server, is_notebook_7=True)
    plot = f"%%oss --new --python ask\n{PLOT}"
    notebook.create(
        [LOAD, TOOLS, FRAME, f"%%oss\n{SLOW_BALL}", f"%%oss --new\n{WEATHER}", plot], "Notebook7.ipynb"
    )
    notebook.run(0, 1, 2, 3)
    answer = notebook.output(3)
    expect(answer.locator("details[open]")).to_be_visible()
    THINKING.open(server.home)
    expect(answer).to_contain_text("lands after")
    assert "So aim at" not in answer.inner_text()
    notebook.shot("notebook7-streaming")
    WRITING.open(server.home)
    expect(answer).to_contain_text("tokens/s")
    assert "So aim at" in answer.inner_text()
    assert answer.locator("details[open]").count() == 0

    notebook.run(4)
    expect(notebook.output(4)).to_contain_text("tokens/s")
    assert notebook.output(4).locator("table.dataframe").count() == 1
    notebook.shot("notebook7-tool")

    notebook.run(5)
    reply = notebook.output(5).locator(".jp-Stdin-input")
    reply.fill("y")
    reply.press("Enter")
    expect(notebook.output(5)).to_contain_text("tokens/s")
    assert notebook.output(5).locator("img").count() == 1
    notebook.shot("notebook7-python")
    for index in (3, 4, 5):
        contrast, text = least_contrast(notebook.output(index))
        assert contrast >= 4.5, text
