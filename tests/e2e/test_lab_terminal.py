"""`%%oss` in a real `ipython`, in JupyterLab's own terminal: plain text that streams, colours left alone."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page

from tests.support.answer_book import ENGINE
from tests.support.jupyter_process import TOKEN, JupyterProcess, jupyter_process
from tests.support.notebook_page import (
    LOAD,
    ROOT,
    TIMEOUT_MILLISECONDS,
    ask_server,
    needs_browser,
    open_browser,
    take_picture,
)
from tests.support.notebook_scenes import BOOK, TOOLS, WEATHER

pytestmark = needs_browser

MODEL = "--GptOss.model=gpt-oss-20b"


@pytest.fixture
def server(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[JupyterProcess]:
    home = tmp_path_factory.mktemp("terminal")
    BOOK.write(home)
    (home / "tools.py").write_text(TOOLS, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("SHELL", "/bin/sh")
    with jupyter_process(home, "notebook", "--port=0", ENGINE, MODEL) as server:
        yield server


@pytest.fixture
def page() -> Iterator[Page]:
    with open_browser() as browser:
        page = browser.new_page(viewport={"width": 900, "height": 620}, device_scale_factor=1.5)
        page.set_default_timeout(TIMEOUT_MILLISECONDS)
        yield page


def test_a_cell_in_a_terminal_is_plain_text(page: Page, server: JupyterProcess) -> None:
    terminal = ask_server(server, "POST", "api/terminals")["name"]
    page.goto(f"{server.url}terminals/{terminal}?token={TOKEN}")
    screen = page.locator(".jp-Terminal")
    screen.locator("textarea").focus()

    def type_line(line: str) -> None:
        page.keyboard.type(line)
        page.keyboard.press("Enter")

    ipython = Path(sys.executable).with_name("ipython")  # a login shell may have a PATH of its own
    type_line(f"PS1='$ '; clear; {ipython} --no-banner --simple-prompt")
    screen.get_by_text("In [1]:").wait_for()
    type_line(LOAD)
    screen.get_by_text("In [2]:").wait_for()
    type_line("%run tools.py")
    screen.get_by_text("In [3]:").wait_for()
    type_line("%%oss")
    type_line(WEATHER)
    type_line("")
    screen.get_by_text("In [4]:").wait_for()
    take_picture(page, "terminal", is_for_docs=True)
    text = screen.inner_text()

    assert 'find_city(name="Kyoto")' in text or 'find_city {"name": "Kyoto"}' in text
    assert "On **Wednesday**: rain is forecast" in text
    assert "tokens/s" in text
    assert "<div" not in text
