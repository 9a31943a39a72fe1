"""Turn what a soak has seen into a verdict: what was, and what of it must not be."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

ACCEPTED_CODES = frozenset({
    "engine_dead",  # the engine was killed while it loaded the model, or three times under one request
    "model_loading",
    "rate_limit_exceeded",  # more wait than may
})  # fmt: skip
"""The errors that clients may be told while an engine is killed and overloaded. Any other is a fault."""
MAX_GROWTH_BYTES = 8_000_000
"""Of the server's memory, from the middle third of a run to the last, by their medians."""
MAX_COUNT_GAP_SECONDS = 5.0
"""Between two numbers of the kernel that counts ten times a second, as they arrive at a busy client of a busy machine."""
_BAD_ENDS = {
    "hung": "a request had not ended when its time was over",
    "cut": "a stream ended without an error and without [DONE]",
    "broken": "a connection broke, or an answer was no answer",
}


@dataclass(frozen=True, slots=True)
class Sample:
    """The server process at one moment."""

    memory_bytes: int
    num_threads: int
    num_files: int


@dataclass(slots=True)
class Counts:
    """What the kernel said, in the order in which it came."""

    numbers: list[int] = field(default_factory=list)
    longest_gap_seconds: float = 0.0
    _last: float | None = None

    def add(self, numbers: Sequence[int], now: float) -> None:
        """Note what has come. None came is a number too: at the end, it tells how long the kernel was silent."""
        self.longest_gap_seconds = max(
            self.longest_gap_seconds, now - (now if self._last is None else self._last)
        )
        self._last = now
        self.numbers += numbers

    @property
    def is_complete(self) -> bool:
        """Whether there are numbers, and none is missing."""
        return bool(self.numbers) and self.numbers == list(range(len(self.numbers)))


@dataclass(slots=True)
class Report:
    """What was seen."""

    num_sent: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    """Of the requests, by `finished`, `cancelled`, `refused`, `errored`, `hung`, `cut` and `broken`."""
    codes: Counter[str] = field(default_factory=Counter)
    """Of what was refused and errored."""
    breaks: Counter[str] = field(default_factory=Counter)
    """Of what was broken, by the exception's name."""
    longest_request_seconds: float = 0.0
    num_kills: int = 0
    num_counted_by_server: int = 0
    num_open: int = 0
    before: Sample | None = None
    """The server warm and idle, before the load."""
    under_load: list[Sample] = field(default_factory=list)
    after: Sample | None = None
    """The server idle again."""
    counts: Counts = field(default_factory=Counts)
    num_log_faults: int = 0
    """Tracebacks in the server's log."""

    @property
    def faults(self) -> list[str]:
        """What must not be."""
        return [
            fault
            for fault, is_there in (self._faults_of_requests | self._faults_of_server).items()
            if is_there
        ]

    @property
    def growth_bytes(self) -> int:
        """Of the server's memory under load, from the middle third of the run to the last; 0: too short to have thirds."""
        third = len(self.under_load) // 3
        if not third:
            return 0
        memory = [sample.memory_bytes for sample in self.under_load]
        return round(median(memory[-third:]) - median(memory[-2 * third : -third]))

    @property
    def _faults_of_requests(self) -> dict[str, bool]:
        unexpected = sorted(self.codes.keys() - ACCEPTED_CODES)
        return {
            "requests do not add up": sum(self.ends.values()) != self.num_sent,
            "the server's metrics count other requests": self.num_counted_by_server != self.num_sent,
            "requests are open still": self.num_open > 0,
            f"errors that nobody should see: {', '.join(unexpected)}": bool(unexpected),
            **{text: self.ends[end] > 0 for end, text in _BAD_ENDS.items()},
        }

    @property
    def _faults_of_server(self) -> dict[str, bool]:
        assert self.before is not None
        assert self.after is not None
        most_threads = max(sample.num_threads for sample in (self.before, *self.under_load))
        return {
            f"memory grew by more than {MAX_GROWTH_BYTES:,} bytes": self.growth_bytes > MAX_GROWTH_BYTES,
            "threads were left": self.after.num_threads
            > most_threads,  # pools keep those that they had under load
            "files were left": self.after.num_files > self.before.num_files,
            "the kernel's numbers have gaps": not self.counts.is_complete,
            "the kernel stopped for too long": self.counts.longest_gap_seconds > MAX_COUNT_GAP_SECONDS,
            "tracebacks in the log": self.num_log_faults > 0,
        }

    def print(self) -> None:
        """Say it all."""
        print(f"requests     {self.num_sent} sent: {dict(self.ends)} {dict(self.codes)} {dict(self.breaks)}")
        print(f"             the longest took {self.longest_request_seconds:.1f} s")
        print(
            f"server       counted {self.num_counted_by_server}, {self.num_open} open; engine killed {self.num_kills} times"
        )
        print(
            f"kernel       {len(self.counts.numbers)} numbers, longest gap {self.counts.longest_gap_seconds:.2f} s"
        )
        print(f"memory       {self.growth_bytes / 1e6:+.1f} MB from the middle third to the last")
        most = [max(self.under_load, key=lambda sample: sample.memory_bytes)] if self.under_load else []
        for name, sample in (
            ("before", self.before),
            *(("at most", each) for each in most),
            ("after", self.after),
        ):
            if sample is not None:
                print(
                    f"  {name:10} {sample.memory_bytes / 1e6:.1f} MB, {sample.num_threads} threads, {sample.num_files} files"
                )
        print(f"log          {self.num_log_faults} tracebacks")
        print("FAULTS: " + "; ".join(self.faults) if self.faults else "nothing is wrong")
