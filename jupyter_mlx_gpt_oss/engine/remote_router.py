"""A request to the order in which servers are asked: the one that knows its conversation, then the least busy.

A server knows a conversation when it has answered a prompt that began as this one does, up to the end of a message:
its prefix cache has it. Knows no HTTP; content alone decides, so no client has to name its conversation.
"""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Generic, Protocol, TypeVar

from jupyter_mlx_gpt_oss.engine.remote_wire import prefix_marks
from jupyter_mlx_gpt_oss.engine.request import GenerationRequest

_MAX_MARKS = 16_384
_KNOWN_SHARE = 0.5  # of a prompt that a server must know to be asked first: more than a system message
_MAX_EXTRA_REQUESTS = 4  # by which it may be busier than the least busy


class Server(Protocol):
    """What a router needs to know of a server."""

    @property
    def num_open(self) -> int:
        """Requests that it works on."""
        ...

    @property
    def is_healthy(self) -> bool:
        """Whether it answered the last time."""
        ...


S = TypeVar("S", bound=Server)


class Router(Generic[S]):
    """Owned by one event loop.

    Args:
        servers: at least one.
        is_sticky: whether conversations stay where they are known.
    """

    def __init__(self, servers: Sequence[S], *, is_sticky: bool = True) -> None:
        self._servers = servers
        self._is_sticky = is_sticky and len(servers) > 1
        self._known: OrderedDict[bytes, S] = OrderedDict()

    def order(self, request: GenerationRequest) -> list[S]:
        """Return all servers, best first; those that failed are last, for there may be no other."""
        servers = sorted(self._servers, key=lambda server: (not server.is_healthy, server.num_open))
        first = servers[0]
        known = self._find(request) if self._is_sticky else None
        if known is None or known is first or not known.is_healthy:
            return servers
        if known.num_open > first.num_open + _MAX_EXTRA_REQUESTS:
            return servers
        return [known, *(server for server in servers if server is not known)]

    def remember(self, request: GenerationRequest, server: S) -> None:
        """Note who answers a request, and so will have it in its cache."""
        if not self._is_sticky:
            return
        for mark in prefix_marks(request.prompt_token_ids, request.boundaries).values():
            self._known[mark] = server
            self._known.move_to_end(mark)
        while len(self._known) > _MAX_MARKS:
            self._known.popitem(last=False)

    def _find(self, request: GenerationRequest) -> S | None:
        least = _KNOWN_SHARE * len(request.prompt_token_ids)
        marks = prefix_marks(request.prompt_token_ids, request.boundaries)
        known: Iterable[S | None] = (
            self._known.get(mark) for end, mark in reversed(marks.items()) if end >= least
        )
        return next((server for server in known if server is not None), None)
