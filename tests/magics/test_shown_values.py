"""A real shell: tools whose results are more than text are shown as a cell shows them."""

import sys
from types import SimpleNamespace
from typing import Any

import pytest
from typing_extensions import override

from jupyter_mlx_gpt_oss import tool
from tests.magics.conftest import Notebook
from tests.support.canned_server import CannedServer, answer, ending, tool_delta

CALL = [tool_delta("look", "{}"), ending("tool_calls")]


class Chart:
    @override
    def __str__(self) -> str:
        return "a chart of two bars"

    def _repr_html_(self) -> str:
        return "<b>two bars</b>"


def offer(notebook: Notebook, value: object) -> None:
    def look() -> Any:
        return value

    notebook.user_ns["look"] = tool(look)


def test_a_rich_result_is_shown_as_it_is_and_the_model_reads_its_text(
    notebook: Notebook, server: CannedServer
) -> None:
    offer(notebook, Chart())
    server.play(CALL, answer("Two bars."))

    assert notebook.run("%%oss\nLook.") is None

    assert "<b>two bars</b>" in notebook.outputs.html
    assert "→" not in notebook.outputs.html
    assert server.requests[1]["messages"][-1]["content"] == "a chart of two bars"


def test_a_data_frame_is_shown_as_its_table(notebook: Notebook, server: CannedServer) -> None:
    pandas = pytest.importorskip("pandas")
    offer(notebook, pandas.DataFrame({"city": ["Kyoto", "<b>Nara</b>"], "degrees": [21, 22]}))
    server.play(CALL, answer("Warm."))

    assert notebook.run("%%oss\nLook.") is None

    assert '<table border="1" class="dataframe">' in notebook.outputs.html
    assert "&lt;b&gt;Nara" in notebook.outputs.html
    assert server.requests[1]["messages"][-1]["content"].startswith("DataFrame of 2 rows and 2 columns")


def test_figures_that_a_tool_leaves_open_are_shown_with_its_result(
    notebook: Notebook, server: CannedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Matplotlib's inline backend would show them below the last line of the cell."""
    steps = []

    class Figure(Chart):
        pass

    def show_open_figures() -> None:
        steps.append("figures")

    pyplot = SimpleNamespace(Figure=Figure, close=lambda figure: steps.append(type(figure).__name__))
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", pyplot)
    inline = SimpleNamespace(flush_figures=show_open_figures)
    monkeypatch.setitem(sys.modules, "matplotlib_inline.backend_inline", inline)
    offer(notebook, Figure())
    server.play(CALL, answer("Two bars."))

    assert notebook.run("%%oss\nLook.") is None

    assert steps == ["Figure", "figures"]


def test_a_plain_result_is_shown_by_the_cell(notebook: Notebook, server: CannedServer) -> None:
    offer(notebook, [{"city": "Kyoto", "degrees": 21}])
    server.play(CALL, answer("Warm."))

    assert notebook.run("%%oss\nLook.") is None

    assert ">Kyoto</td>" in notebook.outputs.html
    assert '[result of look] [{"city":"Kyoto","degrees":21}]' in notebook.outputs.text
