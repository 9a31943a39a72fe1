"""What is left of an open notebook when its page, its kernel or its server starts anew.

In JupyterLab; Notebook 7 keeps its documents by the same code, and has tests of its own for what it does otherwise.
"""

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.support.answer_book import ENGINE
from tests.support.jupyter_process import JupyterProcess, jupyter_process
from tests.support.notebook_page import (
    LOAD,
    ROOT,
    TIMEOUT_MILLISECONDS,
    NotebookPage,
    lab_arguments,
    needs_browser,
    open_browser,
)
from tests.support.notebook_scenes import BOOK, FIRST, SECOND, TOOLS, WEATHER

pytestmark = needs_browser

StartServer = Callable[[], JupyterProcess]


@pytest.fixture
def start_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StartServer]:
    """Start the server; a second call stops the first one, and starts another at the same place."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    BOOK.write(tmp_path)
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    arguments = [*lab_arguments(tmp_path)[2:], f"--port={port}", ENGINE]
    with ExitStack() as stack:

        def start() -> JupyterProcess:
            stack.close()
            return stack.enter_context(jupyter_process(tmp_path, "lab", *arguments))

        yield start


@pytest.fixture
def page() -> Iterator[Page]:
    with open_browser() as browser:
        page = browser.new_page(viewport={"width": 1000, "height": 900})
        page.set_default_timeout(TIMEOUT_MILLISECONDS)
        yield page


@pytest.fixture
def notebook(page: Page, start_server: StartServer) -> NotebookPage:
    return NotebookPage(page, start_server())


def restart_kernel(notebook: NotebookPage) -> None:
    notebook.menu("Kernel", "Restart Kernel…")
    notebook.page.locator(".jp-Dialog .jp-mod-accept").click()
    notebook.wait_until_idle()


def change_from_outside(notebook: NotebookPage) -> None:
    """Change a cell of the file, so that its outputs are not trusted."""
    saved = json.loads(notebook.file.read_text(encoding="utf-8"))
    saved["cells"][1]["source"] = "# changed by somebody else"
    notebook.file.write_text(json.dumps(saved), encoding="utf-8")


def test_a_notebook_outlives_its_page_its_kernel_and_its_server(
    notebook: NotebookPage, start_server: StartServer
) -> None:
    notebook.create(
        [LOAD, TOOLS, f"%%oss\n{WEATHER}", f"%%oss\n{FIRST}", f"%%oss\n{SECOND}"], "Restarts.ipynb"
    )
    notebook.run(0, 1, 2)
    expect(notebook.output(2)).to_contain_text("tokens/s")
    shown = notebook.output(2).inner_text()
    notebook.save()

    notebook.open()  # a new page
    assert notebook.output(2).inner_text() == shown

    change_from_outside(notebook)
    notebook.open()
    assert notebook.output(2).inner_text() == shown
    assert notebook.output(2).locator("details").count() >= 1
    notebook.shot("lab-untrusted")

    restart_kernel(notebook)
    notebook.run(0, 3)
    expect(notebook.output(3)).to_contain_text("Hello Ada.")
    notebook.save()

    notebook.server = start_server()  # a new server, under the open page
    notebook.shot("lab-server-gone")
    notebook.open()  # a restart of the kernel alone may find none, according to when the page has heard of it
    assert "Hello Ada." in notebook.output(3).inner_text()
    notebook.run(0, 4)
    expect(notebook.output(4)).to_contain_text("You are Ada.")
    notebook.shot("lab-server-back")
