from pathlib import Path
from typing import Any

from jupyter_mlx_gpt_oss.magics.short_traceback import short_traceback


def raised_by(source: str, name: str = "/tmp/ipykernel_1/2.py") -> BaseException:
    namespace: dict[str, Any] = {"__name__": "__main__"}
    try:
        exec(compile(source, name, "exec"), namespace)
    except BaseException as error:  # noqa: BLE001
        return error
    raise AssertionError(source)


def test_a_cell_has_no_path() -> None:
    text = short_traceback(raised_by("def f(x):\n    return 1 / x\nf(0)"))

    lines = text.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert '  File "<cell>", line 3, in <module>' in lines
    assert '  File "<cell>", line 2, in f' in lines
    assert lines[-1] == "ZeroDivisionError: division by zero"
    assert "ipykernel" not in text


def test_a_module_keeps_its_path(tmp_path: Path) -> None:
    path = tmp_path / "module.py"
    path.write_text("1 / 0", encoding="utf-8")

    assert f'File "{path}", line 1' in short_traceback(raised_by("1 / 0", str(path)))


def test_of_many_frames_the_first_and_the_last_are_kept() -> None:
    source = "def f(n):\n    return g(n - 1) if n else 1 / 0\ndef g(n):\n    return f(n)\nf(40)"

    lines = short_traceback(raised_by(source)).splitlines()

    assert lines[1].endswith(", in raised_by")
    assert "  … 77 frames …" in lines
    assert lines[-2:] == ['  File "<cell>", line 2, in f', "ZeroDivisionError: division by zero"]
    assert sum("<cell>" in line for line in lines) == 5


def test_a_syntax_error_shows_its_place() -> None:
    text = short_traceback(raised_by("x = = 1"))

    assert 'File "<cell>", line 1\n    x = = 1\n        ^\nSyntaxError: ' in text


def test_an_exception_that_was_never_raised_is_its_last_line() -> None:
    assert short_traceback(KeyError("x")) == "KeyError: 'x'"
