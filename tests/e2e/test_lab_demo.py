"""README's cell in a real JupyterLab: the embedded model itself calls the notebook's function.

Set UPDATE_PICTURES=1 to put the picture of this run into docs/images.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.support.jupyter_process import jupyter_process
from tests.support.notebook_page import (
    LOAD,
    ROOT,
    TIMEOUT_MILLISECONDS,
    NotebookPage,
    lab_arguments,
    needs_browser,
    open_browser,
)

pytestmark = needs_browser

README = (ROOT / "README.md").read_text(encoding="utf-8")
TOOL = re.search(r"```python\n(from jupyter_mlx_gpt_oss import tool\n.*?)```", README, re.DOTALL)
CELL = "%%oss --temperature 0\nWhat is the weather in Kyoto?"


@pytest.fixture
def notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[NotebookPage]:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    with jupyter_process(tmp_path, *lab_arguments(tmp_path)) as server, open_browser() as browser:
        page = browser.new_page(viewport={"width": 1000, "height": 760}, device_scale_factor=1.5)
        page.set_default_timeout(TIMEOUT_MILLISECONDS)
        yield NotebookPage(page, server)


def test_the_embedded_model_calls_a_tool_and_answers(notebook: NotebookPage) -> None:
    assert TOOL is not None
    assert "What is the weather in Kyoto?" in README
    notebook.create([LOAD, TOOL[1].rstrip(), CELL], "Weather.ipynb")
    notebook.run(0, 1, 2)
    output = notebook.output(2)
    expect(output).to_contain_text("tokens/s")
    notebook.wait_until_done(2)
    notebook.picture("lab-demo", 2)

    call = output.locator("code", has_text="get_weather").first.inner_text()
    assert re.fullmatch(r'get_weather\(city=".+"\)', call)  # tiny as it is, the model may misread the city
    assert output.locator("tr", has_text="temperature").inner_text().split() == ["temperature", "21"]
    *_, answer, closing = output.locator(".jp-OutputArea-child").all()
    assert answer.locator("p").count() >= 1  # the model's words, below the call
    assert "get_weather" not in answer.inner_text()
    assert re.search(r"\d+ tokens · [\d.]+ tokens/s", closing.inner_text())
