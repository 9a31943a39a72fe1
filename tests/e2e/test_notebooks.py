"""The lessons run from top to bottom in a real kernel, against a real server with the embedded model.

Set UPDATE_LESSONS=1 to store them as this run has them.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from tests.support.jupyter_process import JupyterProcess, jupyter_process

NOTEBOOKS = sorted((Path(__file__).parent.parent.parent / "notebooks").glob("*.ipynb"))
# ipykernel says so where no encryption is set up; the kernel is on this machine.
pytestmark = pytest.mark.filterwarnings("ignore:.*Kernel is running over TCP without encryption")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JupyterProcess]:
    # A sampled answer may not find its end, and the model's whole context takes it minutes.
    options = () if os.environ.get("UPDATE_LESSONS") else ("--GptOssEngine.context_length=4096",)
    with jupyter_process(tmp_path_factory.mktemp("home"), "server", "--port=0", *options) as server:
        yield server


@pytest.fixture
def kernel_environment(server: JupyterProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a kernel of that server finds."""
    for name in list(os.environ):
        if name.startswith(("JPY", "JUPYTER")):
            monkeypatch.delenv(name)
    [key_file] = server.home.rglob("api_key")
    monkeypatch.setenv("JUPYTER_MLX_GPT_OSS_URL", server.openai_url)
    monkeypatch.setenv("JUPYTER_MLX_GPT_OSS_KEY", key_file.read_text().strip())


def _read(notebook: Path) -> Any:
    return nbformat.read(notebook, as_version=4)  # type: ignore[no-untyped-call]


@pytest.mark.usefixtures("kernel_environment")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_lesson_runs_from_top_to_bottom(path: Path, tmp_path: Path) -> None:
    notebook = _read(path)
    client = NotebookClient(
        notebook,
        timeout=120,
        kernel_name="python3",
        coalesce_streams=True,
        record_timing=False,
        resources={"metadata": {"path": str(tmp_path)}},
    )
    client.execute()
    if os.environ.get("UPDATE_LESSONS"):
        nbformat.write(notebook, path)  # type: ignore[no-untyped-call]
    errors = [
        output
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if output["output_type"] == "error"
    ]
    assert errors == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_lesson_is_stored_as_it_was_run(path: Path) -> None:
    cells = [cell for cell in _read(path).cells if cell.cell_type == "code"]
    assert all(cell.execution_count for cell in cells)
    assert any(cell.outputs for cell in cells)
    assert all(cell.outputs for cell in cells if cell.source.startswith("%%oss"))
