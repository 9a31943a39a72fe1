"""The requests that were answered last, for the status page: which route, how it ended, how long. Never a text."""

import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

MAX_KEPT = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class RecentRequest:
    """One answered request."""

    ended: float
    """Seconds since 1970."""
    method: str
    route: str
    """One of the server's own, without what the client put into it."""
    outcome: str
    """`ok`, `client_gone`, or the code of an error."""
    seconds: float
    """From its last byte to the last byte of its answer."""


class RecentRequests:
    """Keeps the last requests, and forgets the others.

    Args:
        clock: seconds since 1970.
    """

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._kept: deque[RecentRequest] = deque(maxlen=MAX_KEPT)

    def add(self, *, method: str, route: str, outcome: str, seconds: float) -> None:
        """Keep a request that was answered just now."""
        self._kept.append(
            RecentRequest(ended=self._clock(), method=method, route=route, outcome=outcome, seconds=seconds)
        )

    def __iter__(self) -> Iterator[RecentRequest]:
        """Yield the requests that are kept, the last one first."""
        return reversed(self._kept)
