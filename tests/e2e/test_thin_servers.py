"""Thin notebook servers that share one engine: the short form of benchmarks/twenty_servers.py."""

from pathlib import Path

from benchmarks.twenty_servers import measure

NUM_MANY, NUM_PLACES = 24, 2


async def test_every_cell_of_three_servers_is_answered_right_and_none_waits_for_the_many(
    tmp_path: Path,
) -> None:
    places = f"--GptOssEngine.max_running_requests={NUM_PLACES}"
    findings = await measure(tmp_path, 3, NUM_MANY, (places,))
    assert findings.num_right == findings.num_asked == 6
    # By arrival a cell, which was sent last, is begun when no more of the many are left than there are places. In turn
    # it has the next place: less than half of them are answered before it.
    assert max(findings.num_before) < NUM_MANY / 2
    # The cell of the user who sent the many does wait for them.
    assert max(findings.beside_seconds) < findings.behind_seconds
