"""The lessons in notebooks/: well formed, and written with flags and words that exist. (They are run elsewhere.)"""

import ast
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager

from jupyter_mlx_gpt_oss.magics.arguments import FLAGS
from jupyter_mlx_gpt_oss.magics.completion import WORDS

LESSONS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
TITLES = [
    "01_quickstart",
    "02_tools",
    "03_python",
    "04_structured_answers",
    "05_clients",
    "06_real_checkpoints",
]
FLAG = re.compile(r"(?<=\s)--?[a-z][a-z-]*")


def lesson_cells(path: Path) -> list[Any]:
    notebook: Any = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
    nbformat.validate(notebook)
    return list(notebook.cells)


def test_the_lessons_are_numbered() -> None:
    assert [path.stem for path in LESSONS] == TITLES


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_a_lesson_begins_with_its_title_and_loads_the_extension(path: Path) -> None:
    cells = lesson_cells(path)
    assert cells[0].cell_type == "markdown"
    assert cells[0].source.startswith("# ")
    assert cells[1].source.startswith("%load_ext jupyter_mlx_gpt_oss")


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_the_code_of_a_lesson_is_python(path: Path) -> None:
    make_transformer: Callable[[], Any] = TransformerManager
    for cell in lesson_cells(path):
        if cell.cell_type == "code":
            source = make_transformer().transform_cell(cell.source)
            compile(source, cell.id, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_a_lesson_uses_flags_and_words_that_exist(path: Path) -> None:
    source = "\n".join(cell.source for cell in lesson_cells(path))
    lines = re.findall(r"^%%oss(.*)$", source, re.MULTILINE)
    flags = {name for line in lines for name in FLAG.findall(line)}
    assert flags <= {name for flag in FLAGS for name in flag.names}
    assert set(re.findall(r"^%oss (\w+)", source, re.MULTILINE)) <= set(WORDS)
