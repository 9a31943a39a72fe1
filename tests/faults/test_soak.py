"""A real server under load, whose engine process is killed: the short form of `python -m benchmarks.soak`."""

import asyncio
from pathlib import Path

import pytest

from benchmarks.soak import soak
from tests.support.jupyter_process import jupyter_process


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # httpx leaves sockets to the collector
def test_under_load_and_kills_every_request_is_accounted_for(tmp_path: Path) -> None:
    with jupyter_process(tmp_path / "home", "server", "--port=0") as server:
        report = asyncio.run(soak(server, seconds=15, num_clients=4, kill_seconds=7, seed=1))
    report.print()
    assert report.num_kills > 0
    assert report.num_sent > 0
    # A short run has no third in which to settle, so growth is the long form's to judge.
    assert set(report.faults) <= {"threads were left", "files were left"}
