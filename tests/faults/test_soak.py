"""A real server under load, whose engine process is killed: the short form of `python -m benchmarks.soak`, and its judge."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.soak import soak
from benchmarks.soak_clients import Clients
from benchmarks.soak_report import MAX_COUNT_GAP_SECONDS, MAX_GROWTH_BYTES, Counts, Report, Sample
from tests.support.canned_server import DROP, HOLD, KEY, CannedServer, Script, answer, canned_server
from tests.support.jupyter_process import jupyter_process

GROWN = f"memory grew by more than {MAX_GROWTH_BYTES:,} bytes"


@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning"
)  # httpx leaves sockets to the collector
def test_under_load_and_kills_every_request_is_accounted_for(tmp_path: Path) -> None:
    with jupyter_process(tmp_path / "home", "server", "--port=0") as server:
        report = asyncio.run(soak(server, seconds=10, num_clients=4, kill_seconds=4, seed=1))
    report.print()
    assert report.num_kills > 0
    assert report.num_sent > 0
    assert set(report.faults) <= {GROWN}  # in so short a run the server's memory does not settle


class TestAClientOfTheSoak:
    """Its ends, by a server that does what ours must not."""

    @pytest.fixture
    def server(self) -> Iterator[CannedServer]:
        with canned_server() as canned:
            yield canned

    async def end_of(self, server: CannedServer, script: Script, seconds: float = 20) -> Report:
        report = Report()
        server.play(script)
        await Clients(server.url, KEY, report, 0, hang_seconds=seconds).each_once("stream")
        return report

    async def test_calls_a_whole_stream_finished(self, server: CannedServer) -> None:
        assert (await self.end_of(server, answer("Hello."))).ends == {"finished": 1}

    async def test_calls_a_stream_hung_that_says_nothing_but_that_it_is_alive(
        self, server: CannedServer
    ) -> None:
        report = await self.end_of(server, [HOLD], seconds=0.5)  # five keep-alives
        assert report.ends == {"hung": 1}
        assert report.longest_request_seconds < 5

    async def test_calls_a_stream_cut_that_looks_as_if_it_had_ended(self, server: CannedServer) -> None:
        assert (await self.end_of(server, [*answer("Hello.")[:-1], DROP])).ends == {"cut": 1}

    async def test_calls_an_answer_that_is_none_broken(self, server: CannedServer) -> None:
        report = await self.end_of(server, ['data: {"error": 5}\n\n'])
        assert (report.ends, report.breaks) == ({"broken": 1}, {"TypeError": 1})

    async def test_notes_the_code_of_an_error(self, server: CannedServer) -> None:
        report = Report()
        server.refuse(503, {"error": {"code": "engine_dead"}})
        await Clients(server.url, KEY, report, 0).each_once("chat")
        assert (report.ends, report.codes) == ({"refused": 1}, {"engine_dead": 1})


class TestTheVerdict:
    """One thing is wrong, and it is told."""

    @pytest.fixture
    def report(self) -> Report:
        idle, busy = Sample(100_000_000, 10, 50), Sample(110_000_000, 14, 80)
        return Report(
            num_sent=3,
            num_counted_by_server=3,
            before=idle,
            under_load=[busy] * 9,
            after=Sample(110_000_000, 14, 50),
            counts=Counts([0, 1, 2]),
            ends=Counter(finished=2, refused=1),
            codes=Counter(engine_dead=1),
        )

    def test_of_what_is_well_is_that_nothing_is_wrong(self, report: Report) -> None:
        assert report.faults == []

    @pytest.mark.parametrize(
        ("changes", "fault"),
        [
            ({"num_sent": 4, "num_counted_by_server": 4}, "requests do not add up"),
            ({"num_counted_by_server": 2}, "the server's metrics count other requests"),
            ({"num_open": 1}, "requests are open still"),
            ({"codes": Counter(internal_error=1)}, "errors that nobody should see: internal_error"),
            ({"ends": Counter(finished=2, hung=1)}, "a request had not ended when its time was over"),
            ({"ends": Counter(finished=2, cut=1)}, "a stream ended without an error and without [DONE]"),
            ({"ends": Counter(finished=2, broken=1)}, "a connection broke, or an answer was no answer"),
            ({"after": Sample(0, 15, 50)}, "threads were left"),
            ({"after": Sample(0, 14, 51)}, "files were left"),
            ({"counts": Counts([0, 2])}, "the kernel's numbers have gaps"),
            ({"counts": Counts()}, "the kernel's numbers have gaps"),
            ({"num_log_faults": 1}, "tracebacks in the log"),
        ],
    )
    def test_names_what_is_wrong(self, report: Report, changes: dict[str, Any], fault: str) -> None:
        assert replace(report, **changes).faults == [fault]

    def test_takes_memory_as_grown_from_the_middle_third_to_the_last(self, report: Report) -> None:
        sizes = (0, 500, 900, 300, 300, 300, 300, 300 + MAX_GROWTH_BYTES, 900 + MAX_GROWTH_BYTES)
        report.under_load = [Sample(size, 14, 80) for size in sizes]
        assert (report.growth_bytes, report.faults) == (MAX_GROWTH_BYTES, [])
        report.under_load[-3] = Sample(301 + MAX_GROWTH_BYTES, 14, 80)
        assert report.faults == [GROWN]

    def test_takes_a_kernel_as_stopped_that_is_silent_at_the_end(self, report: Report) -> None:
        for number in range(3, 6):
            report.counts.add([number], now=float(number))
        assert report.faults == []
        report.counts.add((), now=5.1 + MAX_COUNT_GAP_SECONDS)
        assert report.faults == ["the kernel stopped for too long"]
