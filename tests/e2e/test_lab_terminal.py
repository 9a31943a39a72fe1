"""`%%oss` in a real `ipython`, in JupyterLab's own terminal: plain text that streams, colours left alone."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page

from tests.support.answer_book import ENGINE
from tests.support.jupyter_process import TOKEN, JupyterProcess, jupyter_process
from tests.support.notebook_page import (
    LOAD,
    ROOT,
    TIMEOUT_MILLISECONDS,
    ask_server,
    lab_arguments,
    needs_browser,
    open_browser,
    take_picture,
)
from tests.support.notebook_scenes import BOOK, PRIMES, TOOLS, WEATHER

pytestmark = needs_browser

MODEL = "--GptOss.model=gpt-oss-20b"
SETTINGS = "lab/api/settings/@jupyterlab/terminal-extension:plugin"


@pytest.fixture
def server(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[JupyterProcess]:
    home = tmp_path_factory.mktemp("terminal")
    BOOK.write(home)
    (home / "tools.py").write_text(TOOLS, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("SHELL", "/bin/sh")
    with jupyter_process(home, *lab_arguments(home), ENGINE, MODEL) as server:
        yield server


@pytest.fixture
def page() -> Iterator[Page]:
    with open_browser() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 770})  # its canvas knows no other scale
        page.set_default_timeout(TIMEOUT_MILLISECONDS)
        yield page


@dataclass(frozen=True, slots=True)
class Terminal:
    """An `ipython` in JupyterLab's terminal."""

    page: Page
    screen: Locator

    def type(self, *lines: str) -> None:
        for line in lines:
            self.page.keyboard.type(line)
            self.page.keyboard.press("Enter")

    def wait_for(self, text: str) -> str:
        """Wait until `text` is there, and return all that is."""
        self.screen.get_by_text(text).first.wait_for()
        return self.screen.inner_text()


@pytest.fixture
def terminal(page: Page, server: JupyterProcess) -> Terminal:
    # The text of a screen reader stands in the page; that of a terminal is painted.
    ask_server(server, "PUT", SETTINGS, {"raw": '{"screenReaderMode": true, "fontSize": 18}'})
    page.goto(f"{server.url}lab?token={TOKEN}")
    page.locator(".jp-LauncherCard", has_text="Terminal").click()
    terminal = Terminal(page, page.locator(".jp-Terminal"))
    terminal.screen.locator("textarea").focus()
    ipython = Path(sys.executable).with_name("ipython")  # a login shell may have a PATH of its own
    terminal.type(f"PS1='$ '; clear; {ipython} --no-banner --simple-prompt")
    terminal.wait_for("In [1]:")
    terminal.type(LOAD)
    terminal.wait_for("In [2]:")
    return terminal


def test_a_cell_in_a_terminal_is_plain_text_and_asks_before_it_runs_code(terminal: Terminal) -> None:
    terminal.type("%run tools.py")
    terminal.wait_for("In [3]:")
    terminal.type("%%oss", WEATHER, "", "")
    text = terminal.wait_for("In [4]:")
    take_picture(terminal.screen, "terminal", is_for_docs=True)
    assert 'find_city {"name": "Kyoto"}' in text
    assert "On **Wednesday**: rain is forecast" in text
    assert "tokens/s" in text
    assert "<div" not in text

    terminal.type("%%oss --python ask", PRIMES, "", "")
    text = terminal.wait_for("Run this code? [y/N]")
    assert "count = sum(" in text
    assert "25" not in text
    terminal.type("y")
    text = terminal.wait_for("In [5]:")
    take_picture(terminal.screen, "terminal-ask")
    assert "Out[4]: 25" in text
    assert "There are **25**." in text

    terminal.type("clear")
    terminal.wait_for("In [6]:")
    terminal.type("%%oss --python ask", PRIMES, "", "")
    terminal.wait_for("Run this code? [y/N]")
    terminal.type("n")
    text = terminal.wait_for("In [7]:")
    assert "Not run: the user said no." in text
