"""A `%%oss` cell in a real JupyterLab, in a real browser."""

import json
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, sync_playwright

from tests.support.jupyter_process import TOKEN, JupyterProcess, jupyter_process

ARTIFACTS = Path(__file__).parent.parent.parent / "artifacts"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-sync",
    "--no-first-run",
]

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        CHROMIUM is None and not os.environ.get("CI"),
        reason="needs a Chromium: apt-get install chromium, or a Google Chrome",
    ),
]

TOOL = '''def get_weather(city: str) -> dict:
    """Get the current weather.

    Args:
        city: Name of the city.
    """
    return {"city": city, "temperature": 21, "sky": "sunny"}'''


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JupyterProcess]:
    home = tmp_path_factory.mktemp("lab")
    settings = home / "lab-settings"  # no question about news over the first screenshot
    settings.mkdir()
    (settings / "overrides.json").write_text(
        '{"@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": false}}'
    )
    arguments = (
        "lab",
        "--port=0",
        f"--LabApp.app_settings_dir={settings}",
        "--LabApp.extension_manager=readonly",
    )
    with jupyter_process(home, *arguments) as server:
        yield server


@pytest.fixture
def page() -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 1100, "height": 620}, device_scale_factor=2)
        page.set_default_timeout(60_000)
        yield page
        _shot(page, "lab-last")
        browser.close()


def _open(page: Page, lab: JupyterProcess, cells: list[str]) -> None:
    """Write a notebook, open it alone in a tab, and wait for its kernel."""
    name = f"{uuid.uuid4().hex}.ipynb"
    notebook = {
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
    (lab.home / name).write_text(json.dumps(notebook), encoding="utf-8")
    page.goto(f"{lab.url}doc/workspaces/{uuid.uuid4().hex}/tree/{name}?token={TOKEN}")
    page.get_by_text("Python 3 (ipykernel) | Idle").wait_for()


def _run_cell(page: Page, index: int) -> None:
    page.locator(".jp-CodeCell").nth(index).locator(".cm-content").click()
    page.keyboard.press("Control+Enter")


def _shot(page: Page, name: str) -> None:
    ARTIFACTS.mkdir(exist_ok=True)
    page.screenshot(path=str(ARTIFACTS / f"{name}.png"))


def test_a_cell_streams_its_reasoning_calls_a_tool_and_answers(page: Page, lab: JupyterProcess) -> None:
    _open(
        page,
        lab,
        ["%load_ext jupyter_mlx_gpt_oss", TOOL, "%%oss -t get_weather\nWhat is the weather in Kyoto?"],
    )
    for index in range(3):
        _run_cell(page, index)
    output = page.locator(".jp-CodeCell").nth(2).locator(".jp-OutputArea").first
    output.get_by_text("21 °C").first.wait_for()
    output.get_by_text("tokens/s").first.wait_for()
    _shot(page, "lab-tool")
    text = output.inner_text()
    assert "get_weather" in text
    assert "Kyoto" in text
    details = output.locator("details")
    assert details.count() >= 1
    assert all(details.nth(index).get_attribute("open") is None for index in range(details.count()))
    assert "Traceback" not in text


def test_text_grows_while_the_model_writes(page: Page, lab: JupyterProcess) -> None:
    _open(page, lab, ["%load_ext jupyter_mlx_gpt_oss", "%%oss\nTell me a story."])
    _run_cell(page, 0)
    page.evaluate(
        """() => {
            window.lengths = [];
            const cell = document.querySelectorAll(".jp-CodeCell")[1];
            const note = () => window.lengths.push(cell.querySelector(".jp-OutputArea").innerText.length);
            new MutationObserver(note).observe(cell, {childList: true, subtree: true, characterData: true});
        }"""
    )
    _run_cell(page, 1)
    output = page.locator(".jp-CodeCell").nth(1).locator(".jp-OutputArea").first
    output.get_by_text("Once upon a time").first.wait_for()
    _shot(page, "lab-streaming")
    output.get_by_text("tokens/s").first.wait_for()
    _shot(page, "lab-story")
    lengths = page.evaluate("window.lengths")
    assert len({length for length in lengths if length > 200}) >= 4
