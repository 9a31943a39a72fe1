"""Sizes, borders and imports that no linter holds."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "jupyter_mlx_gpt_oss"
FILES = sorted(PACKAGE.rglob("*.py"))
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
# An exception of any kind is caught at the three borders alone: the worker's (its loading, its loop, and the thread that
# hands what it caught to the loop), the handlers' and the magics'.
WORKER_BORDER = ("worker/__main__.py", "worker/engine_loop.py", "worker/grammar_compiler.py")
BORDERS = (*WORKER_BORDER, "handlers/", "magics/")


def _name(file: Path) -> str:
    return file.relative_to(PACKAGE).as_posix()


def _functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def _broad_handlers(tree: ast.AST) -> Iterator[ast.ExceptHandler]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler):
            names = (
                {name.id for name in ast.walk(node.type) if isinstance(name, ast.Name)}
                if node.type
                else set()
            )
            if node.type is None or names & {"Exception", "BaseException"}:
                yield node


@pytest.mark.parametrize("file", FILES, ids=_name)
def test_files_and_functions_stay_small(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= MAX_FILE_LINES
    long = [
        function.name
        for function in _functions(ast.parse(text))
        if (function.end_lineno or 0) - function.lineno >= MAX_FUNCTION_LINES
    ]
    assert long == []


@pytest.mark.parametrize("file", FILES, ids=_name)
def test_any_exception_is_caught_at_the_borders_alone(file: Path) -> None:
    broad = list(_broad_handlers(ast.parse(file.read_text(encoding="utf-8"))))
    assert not broad or _name(file).startswith(BORDERS)


@pytest.mark.parametrize(
    ("module", "forbidden"),
    [
        (
            "jupyter_mlx_gpt_oss",
            ("mlx", "mlx_lm", "tornado", "IPython", "pydantic", "openai_harmony", "numpy"),
        ),
        ("jupyter_mlx_gpt_oss.app", ("mlx", "mlx_lm", "openai_harmony", "llguidance", "numpy")),
        (
            "jupyter_mlx_gpt_oss.magics.magics",
            ("mlx", "mlx_lm", "openai_harmony", "jupyter_server", "pydantic"),
        ),
    ],
)
def test_an_import_loads_nothing_heavy(module: str, forbidden: tuple[str, ...]) -> None:
    program = f"import sys, {module}; print(*(name for name in {forbidden!r} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == ""
