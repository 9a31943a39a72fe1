"""Hostile requests to a real server: refused by the field's name or answered, and never in command of a prompt.

The long form is `python -m benchmarks.hostile_requests`.
"""

from pathlib import Path

from benchmarks.hostile_requests import Attacker, recording_server
from tests.support.hostile_requests import hostile_requests

COUNT = 300


def test_hostile_requests_are_refused_by_name_or_answered(tmp_path: Path) -> None:
    with recording_server(tmp_path / "home") as (server, record):
        tally = Attacker(server, record).run(hostile_requests(20, COUNT))
        assert "Traceback" not in server.log
    assert tally.faults == []
    assert tally.num_control_tokens == 0
    assert sum(tally.statuses.values()) == COUNT
    assert {status // 100 for status in tally.statuses} == {2, 4}
    assert tally.num_twins >= COUNT // 20  # that many spelled control tokens, and were answered
