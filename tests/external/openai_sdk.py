"""The openai package's own tests of the routes we serve, from its source distribution."""

import csv
import os
import re
import subprocess
import sys
import tarfile
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree as ET

from tests.support.jupyter_process import JupyterProcess
from tests.support.venvs import OUT, say, venv_with

VERSION = "3.54.0"
TABLE = Path(__file__).with_suffix(".tsv")
TESTS = (
    "chat",
    "test_completions.py",
    "test_responses.py",
    "responses",
    "test_models.py",
)
NEEDS = (
    "pytest",
    "pytest-asyncio",
    "pytest-xdist",
    "inline-snapshot",
    "rich",
    "nest-asyncio2",
    "time-machine",
)
REASONS = (
    ("refused by name", re.compile(r"400 - `(\w+)` is not served here with this value")),
    ("no such id", re.compile(r"404 - (?:There is no response|The model) '(\w[\w.-]*)'")),
    ("no such route", re.compile(r"404 - There is no route \S*/v1/(\S+)\.$|(405) - Method Not Allowed")),
)

Counts = Counter[tuple[str, str, str]]
"""Of cases, by file, test and reason."""


def run_openai_sdk(server: JupyterProcess) -> bool:
    """Run the tests, and say of each that fails why; False if the table of openai_sdk.tsv says otherwise."""
    sources = _sources()
    python = venv_with("openai", f"openai[aiohttp]=={VERSION}", *NEEDS)
    report = OUT / "openai.xml"
    paths = [f"tests/api_resources/{name}" for name in TESTS]
    options = ["-o", "addopts=", "-q", "-p", "no:cacheprovider", "-W", "ignore", "--tb=short"]
    with (OUT / "openai.log").open("wb") as log:
        subprocess.run(
            [python, "-m", "pytest", *options, f"--junitxml={report}", *paths],
            cwd=sources,
            env={**os.environ, "TEST_API_BASE_URL": server.openai_url},
            stdout=log,
            stderr=log,
            check=False,
        )
    found = _counts(report)
    _tell(found)
    return found == _table()


def _sources() -> Path:
    folder = OUT / f"openai-{VERSION}"
    if not folder.is_dir():
        options = ["--no-deps", "--no-binary", "openai", "--dest", str(OUT)]
        subprocess.run(
            [sys.executable, "-m", "pip", "download", "--quiet", *options, f"openai=={VERSION}"], check=True
        )
        with tarfile.open(OUT / f"openai-{VERSION}.tar.gz") as archive:
            archive.extractall(OUT, filter="data")
    return folder


def _counts(report: Path) -> Counts:
    """Return how many cases of each test failed for which reason, and how many of each file passed."""
    counts: Counts = Counter()
    for case in ET.parse(report).iter("testcase"):
        failure = case.find("failure") if case.find("failure") is not None else case.find("error")
        file = str(case.get("classname")).split("api_resources.")[-1].rpartition(".")[0]
        reason = "passed" if failure is None else _reason(str(failure.get("message")))
        name = "" if failure is None else re.sub(r"\[.*", "", str(case.get("name")))
        counts[file, name, reason] += 1
    return counts


def _table() -> Counts:
    with TABLE.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, delimiter="\t")
        return Counter({(row["file"], row["test"], row["reason"]): int(row["cases"]) for row in rows})


def _tell(found: Counts) -> None:
    """Say the counts, and what the table says otherwise."""
    expected = _table()
    for reason in dict.fromkeys(("passed", *(reason for reason, _ in REASONS), "?")):
        count = sum(count for (*_, told), count in found.items() if told.startswith(reason))
        say(f"{count:4}  {reason}")
    for (file, name, reason), count in sorted((expected - found).items()):
        say(f"{count:4} of the table are gone: {file} {name}: {reason}")
    for (file, name, reason), count in sorted((found - expected).items()):
        say(f"{count:4} are not in the table: {file} {name}: {reason}")


def _reason(message: str) -> str:
    for reason, pattern in REASONS:
        if found := pattern.search(message):
            return f"{reason}: {next(filter(None, found.groups()))}"
    return f"? {message[:200]}"
