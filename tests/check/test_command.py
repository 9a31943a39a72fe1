"""`jupyter mlx-gpt-oss check`, as a user runs it: a real engine, a real model."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from jupyter_mlx_gpt_oss.check.runner import CHECKS, LOAD, REFERENCES


@dataclass(frozen=True, slots=True)
class Run:
    """A run that has ended."""

    status: int
    shown: list[str]
    report: dict[str, Any] | None
    files: list[str]
    """What it left in the directory that it was run in."""


def run_check(directory: Path, *arguments: str) -> Run:
    done = subprocess.run(
        [sys.executable, "-m", "jupyter", "mlx-gpt-oss", "check", *arguments],
        cwd=directory,
        # The unfolded demo is shared between tests: it is made once on a user's machine too.
        env={"XDG_CACHE_HOME": str(Path.home() / ".cache"), **os.environ, "HOME": str(directory / "home")},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.stderr == ""
    file = directory / "report.json"
    report = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None
    return Run(done.returncode, done.stdout.splitlines(), report, [each.name for each in directory.iterdir()])


@pytest.fixture(scope="module")
def demo_run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run_check(tmp_path_factory.mktemp("check"), "--model", "demo", "--report", "report.json")


def test_the_demo_passes_with_status_0(demo_run: Run) -> None:
    assert demo_run.status == 0, "\n".join(demo_run.shown)
    assert demo_run.shown[-1] == "Report, without a path, name or text of yours: report.json"
    assert [line.split()[1] for line in demo_run.shown[1:-3]] == [LOAD, REFERENCES, *CHECKS]


@pytest.mark.parametrize("name", CHECKS)
def test_no_check_fails_with_the_demo(demo_run: Run, name: str) -> None:
    assert demo_run.report is not None
    (result,) = [result for result in demo_run.report["checks"] if result["name"] == name]
    assert result["status"] != "fail", result
    assert result["figures"]


def test_the_report_says_what_was_checked_and_where(demo_run: Run) -> None:
    report = demo_run.report
    assert report is not None
    assert report["model"]["name"] == "demo"
    assert report["model"]["bytes_per_token"] > 0
    assert report["versions"]["mlx"]
    assert report["device"]["memory_bytes"] > 0


def test_it_leaves_its_report_alone(demo_run: Run) -> None:
    assert set(demo_run.files) <= {"report.json", "home"}


def test_a_model_that_is_not_there_ends_with_status_1(tmp_path: Path) -> None:
    run = run_check(tmp_path, "--model", str(tmp_path / "missing"), "--report", "report.json")
    assert run.status == 1
    assert run.report is not None
    assert [(result["name"], result["status"]) for result in run.report["checks"]] == [(LOAD, "fail")]
    assert str(tmp_path) not in json.dumps(run.report)


def test_a_context_that_its_prompts_do_not_fit_is_refused_in_words(tmp_path: Path) -> None:
    run = run_check(tmp_path, "--context-length", "1024")
    assert run.status == 1
    assert run.report is None
    assert "need a context of 2,304 tokens, and 1,024 are asked for" in run.shown[-1]


def test_help_names_its_options() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "jupyter", "mlx-gpt-oss", "check", "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "--model" in done.stdout
    assert "--report" in done.stdout
