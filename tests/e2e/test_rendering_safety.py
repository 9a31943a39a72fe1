"""Nothing that a model writes runs, loads or leaves the page: in JupyterLab, and in the page that nbconvert makes."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Dialog, Page, Request

from tests.support.answer_book import ENGINE, AnswerBook, call, final, thought
from tests.support.attacks import ATTACKS
from tests.support.jupyter_process import JupyterProcess, jupyter_process
from tests.support.notebook_page import (
    LOAD,
    ROOT,
    TIMEOUT_MILLISECONDS,
    NotebookPage,
    lab_arguments,
    needs_browser,
    open_browser,
    take_picture,
)

pytestmark = needs_browser

ATTACKS_A_CELL = 8  # of each come up to five outputs, and JupyterLab shows 50 of a cell
ECHO = '''from jupyter_mlx_gpt_oss import tool

@tool
def echo(text: str) -> list[dict[str, str]]:
    """Give back a table with the text."""
    return [{"text": text, text: "x"}]

@tool
def fail(text: str) -> str:
    """Fail with the text."""
    raise ValueError(text)'''
ASK = """ip = get_ipython()
for number in range({first}, {end}):
    ip.run_cell_magic("oss", "--new", f"attack {{number}}")"""
# What of ours stands in a page: formulas, which MathJax makes of TeX, are looked at by their attributes; what JupyterLab
# puts beside an output to fold it (with an icon, from 4.6.6 on) is its own.
FORBIDDEN = """areas => areas.flatMap(area => [...area.querySelectorAll("*")].flatMap(element => {
    const found = [];
    const tags = "SCRIPT IFRAME OBJECT EMBED LINK META BASE STYLE SVG IMG VIDEO AUDIO FORM INPUT BUTTON TEMPLATE MATH";
    const isMathJax = element.closest("mjx-container") !== null;
    if (element.closest(".jp-OutputArea-promptOverlay") !== null) return [];
    if (!isMathJax && tags.split(" ").includes(element.tagName.toUpperCase())) found.push(element.tagName);
    for (const {name, value} of element.attributes) {
        const isLink = ["href", "xlink:href", "src", "action", "formaction", "background", "data"].includes(name);
        const isWeb = /^(https?:\\/\\/|mailto:|#)/.test(value) && element.tagName === "A";
        if (name.startsWith("on") || (isLink && !isWeb) || (name === "style" && /url\\(/i.test(value)))
            found.push(`${name}=${value}`);
    }
    return found;
}))"""


def _book() -> AnswerBook:
    answers = {
        f"attack {number}": [
            [thought(attack), call("echo", text=attack)],
            [call("fail", text=attack)],
            [final(attack)],
        ]
        for number, attack in enumerate(ATTACKS)
    }
    return AnswerBook(tokens_per_second=100_000, answers=answers)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JupyterProcess]:
    home = tmp_path_factory.mktemp("lab")
    _book().write(home)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        with jupyter_process(home, *lab_arguments(home), ENGINE) as server:
            yield server


class Watch:
    """What a page asks of whom, and which dialogs it opens."""

    def __init__(self, page: Page) -> None:
        self.leaks: list[str] = []
        self.dialogs: list[str] = []
        page.on("request", self._note_request)
        page.on("dialog", self._note_dialog)
        page.route(lambda url: not url.startswith(("http://127.0.0.1", "file:")), lambda route: route.abort())

    def _note_request(self, request: Request) -> None:
        if "leak.test" in request.url:
            self.leaks.append(request.url)

    def _note_dialog(self, dialog: Dialog) -> None:
        if dialog.type == "beforeunload":  # JupyterLab's own question about a notebook that is not saved
            dialog.accept()
            return
        self.dialogs.append(dialog.message)
        dialog.dismiss()

    def assert_quiet(self, page: Page, areas: str) -> None:
        assert page.locator(f"{areas} details").count() == len(ATTACKS)
        page.locator("summary").evaluate_all("all => all.forEach(summary => summary.click())")
        assert page.locator(areas).evaluate_all(FORBIDDEN) == []
        assert self.leaks == []
        assert self.dialogs == []


@pytest.fixture
def page() -> Iterator[Page]:
    with open_browser() as browser:
        page = browser.new_page(viewport={"width": 1000, "height": 900})
        page.set_default_timeout(TIMEOUT_MILLISECONDS)
        yield page


def test_no_attack_runs_or_loads_anything(page: Page, server: JupyterProcess) -> None:
    watch = Watch(page)
    notebook = NotebookPage(page, server)
    starts = range(0, len(ATTACKS), ATTACKS_A_CELL)
    asks = [ASK.format(first=first, end=min(first + ATTACKS_A_CELL, len(ATTACKS))) for first in starts]
    notebook.create([LOAD, ECHO, *asks], "Attacks.ipynb")
    notebook.run_all()
    for index in range(2, len(asks) + 2):
        notebook.wait_until_done(index)
        notebook.output(index).scroll_into_view_if_needed()
    watch.assert_quiet(page, ".jp-OutputArea")
    take_picture(page, "lab-attacks")
    notebook.save()

    html = _convert(notebook.file)
    page.goto(html.as_uri())
    watch.assert_quiet(page, ".jp-OutputArea")
    take_picture(page, "nbconvert-attacks")


def _convert(notebook: Path) -> Path:
    command = [sys.executable, "-m", "nbconvert", "--to", "html", str(notebook)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    assert json.loads(notebook.read_text(encoding="utf-8"))["cells"][2]["outputs"]
    return notebook.with_suffix(".html")
