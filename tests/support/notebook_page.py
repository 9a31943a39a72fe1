"""A notebook of a real server in a real browser: JupyterLab or Notebook, opened, run and photographed."""

import json
import os
import re
import shutil
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect, sync_playwright

from tests.support.jupyter_process import TOKEN, JupyterProcess

ROOT = Path(__file__).parents[2]
ARTIFACTS = ROOT / "artifacts"
PICTURES = ROOT / "docs" / "images"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
TIMEOUT_MILLISECONDS = 120_000
_TRIES = 4
LOAD = "%load_ext jupyter_mlx_gpt_oss"
# No question about news over the first picture.
QUIET = {"@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False}}
_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-sync",
    "--no-first-run",
]

needs_browser = [
    pytest.mark.browser,
    pytest.mark.skipif(
        CHROMIUM is None and not os.environ.get("CI"),
        reason="needs a Chromium: apt-get install chromium, or a Google Chrome",
    ),
]


@contextmanager
def open_browser() -> Iterator[Browser]:
    """Start a browser. It has to be closed before a test with an event loop of its own begins."""
    expect.set_options(timeout=TIMEOUT_MILLISECONDS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=_ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def open_pages(width: int, height: int, *, scale: float = 1.0) -> Iterator[BrowserContext]:
    """Start a browser for pages of one size, which load once what they have in common."""
    with open_browser() as browser:
        pages = browser.new_context(viewport={"width": width, "height": height}, device_scale_factor=scale)
        pages.set_default_timeout(TIMEOUT_MILLISECONDS)
        yield pages


def lab_arguments(home: Path, theme: str = "JupyterLab Light") -> list[str]:
    """How JupyterLab is started so that its pictures are the same each time."""
    settings = home / "lab-settings"
    settings.mkdir(parents=True)
    overrides = {**QUIET, "@jupyterlab/apputils-extension:themes": {"theme": theme}}
    (settings / "overrides.json").write_text(json.dumps(overrides), encoding="utf-8")
    return ["lab", "--port=0", f"--LabApp.app_settings_dir={settings}", "--LabApp.extension_manager=readonly"]


@dataclass(slots=True)
class NotebookPage:
    """One notebook, alone in its page."""

    page: Page
    server: JupyterProcess
    name: str = ""
    is_notebook_7: bool = False
    _workspace: str = field(default_factory=lambda: uuid.uuid4().hex)

    @property
    def file(self) -> Path:
        return self.server.home / self.name

    def create(self, cells: Sequence[str], name: str = "") -> None:
        """Write a notebook, open it, and wait for its kernel."""
        self.name = name or f"{uuid.uuid4().hex}.ipynb"
        self.file.write_text(json.dumps(_notebook(cells)), encoding="utf-8")
        self.open()

    def open(self) -> None:
        """Open the notebook as it lies on the disk, and wait for its kernel."""
        place = "notebooks" if self.is_notebook_7 else f"doc/workspaces/{self._workspace}/tree"
        self.page.goto(f"{self.server.url}{place}/{self.name}?token={TOKEN}")
        self.wait_until_idle()

    def wait_until_idle(self) -> None:
        indicator = self.page.locator('.jp-Notebook-ExecutionIndicator[data-status="idle"]').first
        indicator.wait_for()
        if self.is_notebook_7:  # its indicator is idle before there is a kernel
            self.page.locator(".jp-Toolbar-kernelName", has_text="Python 3 (ipykernel)").wait_for()
            deadline = time.monotonic() + TIMEOUT_MILLISECONDS / 1000
            while not self._is_connected():
                assert time.monotonic() < deadline, "the page has no kernel"
                self.page.wait_for_timeout(100)
        else:
            self.page.get_by_text("Python 3 (ipykernel) | Idle").wait_for()

    def _is_connected(self) -> bool:
        """Whether the server says that a page has this notebook's kernel, and the kernel waits."""
        kernels = [
            each["kernel"]
            for each in ask_server(self.server, "GET", "api/sessions")
            if each["path"] == self.name
        ]
        return any(each["connections"] and each["execution_state"] == "idle" for each in kernels)

    def cell(self, index: int) -> Locator:
        return self.page.locator(".jp-CodeCell").nth(index)

    def output(self, index: int) -> Locator:
        """The output area of a cell."""
        return self.cell(index).locator(".jp-OutputArea").first

    def run(self, *indexes: int) -> None:
        """Run cells one after the other, without waiting for their ends."""
        for index in indexes:
            self.cell(index).locator(".cm-content").first.click()
            self.cell(index).locator(".cm-focused").wait_for()
            self._until_begun(index, lambda: self.page.keyboard.press("Control+Enter"))

    def run_all(self) -> None:
        """Choose the menu's entry that runs all cells."""
        self._until_begun(0, lambda: self.menu("Run", "Run All Cells"))

    def _until_begun(self, index: int, start: Callable[[], None]) -> None:
        """Do what runs a cell; again if nothing came of it, as before the page has got its kernel."""
        before = self.prompt(index).inner_text().strip()
        for _ in range(_TRIES):
            start()
            if before == "[*]:":
                return  # it runs already, and stands in the queue once more
            with suppress(AssertionError):
                expect(self.prompt(index)).not_to_have_text(before, timeout=TIMEOUT_MILLISECONDS / _TRIES)
                return
        expect(self.prompt(index)).not_to_have_text(before)

    def prompt(self, index: int) -> Locator:
        """What stands before a cell: `[ ]:`, `[*]:` while it runs, `[3]:`."""
        return self.cell(index).locator(".jp-InputPrompt")

    def wait_until_done(self, index: int) -> None:
        """Wait until the cell has a number."""
        expect(self.prompt(index)).to_have_text(re.compile(r"\[\d+\]"))

    def menu(self, *names: str) -> None:
        """Choose an entry of the menu bar."""
        bar, entry = names
        self.page.locator(".lm-MenuBar-itemLabel", has_text=bar).first.click()
        self.page.locator(".lm-Menu-itemLabel").get_by_text(entry, exact=True).first.click()

    def save(self) -> dict[str, Any]:
        """Save the notebook, and return it as it lies on the disk then."""
        with self.page.expect_response(lambda response: response.request.method == "PUT"):
            self.page.keyboard.press("Control+s")
        saved: dict[str, Any] = json.loads(self.file.read_text(encoding="utf-8"))
        return saved

    def shot(self, name: str) -> None:
        """Take a picture of the page into artifacts."""
        take_picture(self.page, name)

    def picture(self, name: str, index: int) -> None:
        """Take a picture of one whole cell, for docs."""
        box = self.cell(index).bounding_box()
        assert box is not None  # it is on the page
        before = self.page.viewport_size
        assert before is not None  # every page of these tests has one
        self.page.set_viewport_size({"width": before["width"], "height": int(box["height"]) + 400})
        self.cell(index).scroll_into_view_if_needed()
        take_picture(self.cell(index), name, is_for_docs=True)
        self.page.set_viewport_size(before)


def take_picture(shown: Page | Locator, name: str, *, is_for_docs: bool = False) -> None:
    """Set UPDATE_PICTURES=1 to put the pictures for docs that this run takes into docs/images."""
    ARTIFACTS.mkdir(exist_ok=True)
    shown.screenshot(path=ARTIFACTS / f"{name}.png")
    if is_for_docs and os.environ.get("UPDATE_PICTURES"):
        shutil.copyfile(ARTIFACTS / f"{name}.png", PICTURES / f"{name}.png")


def ask_server(server: JupyterProcess, method: str, path: str, body: object = None) -> Any:
    """Call Jupyter's own REST API."""
    request = urllib.request.Request(
        f"{server.url}{path}",
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        text = answer.read()
    return json.loads(text) if text else None


def _notebook(cells: Sequence[str]) -> dict[str, Any]:
    return {
        "cells": [
            {
                "cell_type": "code",
                "id": f"cell-{index}",
                "metadata": {},
                "source": source,
                "outputs": [],
                "execution_count": None,
            }
            for index, source in enumerate(cells)
        ],
        "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
