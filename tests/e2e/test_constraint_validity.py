"""Whatever a hot model says, what it is held to holds. The long form is `python -m benchmarks.constraint_validity`."""

from benchmarks.constraint_kinds import KINDS
from benchmarks.constraint_validity import count_valid, opened

COUNT = 2
TEMPERATURE = 1.5


async def test_every_whole_answer_keeps_to_what_it_is_held_to() -> None:
    async with opened("demo") as (chat, engine):
        for kind in KINDS.values():
            tally = await count_valid(chat, engine, kind, COUNT, TEMPERATURE)
            assert tally.faults == [], kind.name
            assert tally.num_valid >= COUNT, kind.name
