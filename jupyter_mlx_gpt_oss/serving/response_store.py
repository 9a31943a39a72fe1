"""The responses that are kept, by who had them. Knows no wire format: a response is a value of some size."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from jupyter_mlx_gpt_oss.errors import NotFoundError
from jupyter_mlx_gpt_oss.protocol.response_answers import Response

JsonObject = dict[str, Any]


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """A response, and what it goes on from."""

    response: Response
    context: tuple[JsonObject, ...]
    """Items of the responses before it."""
    input_items: tuple[JsonObject, ...]
    output_items: tuple[JsonObject, ...]
    """Those that the conversation can go on from."""
    num_bytes: int
    """What it takes to keep it, about: as JSON."""

    @property
    def conversation(self) -> tuple[JsonObject, ...]:
        """All items up to the end of this response."""
        return (*self.context, *self.input_items, *self.output_items)


class ResponseStore:
    """Keeps responses of all callers; the least recently used one goes first. Belongs to one event loop.

    Args:
        max_items: responses to keep.
        max_bytes: of all responses together.
    """

    def __init__(self, *, max_items: int, max_bytes: int) -> None:
        self._max_items = max_items
        self._max_bytes = max_bytes
        self._stored: OrderedDict[tuple[str, str], StoredResponse] = OrderedDict()
        self._num_bytes = 0

    def __len__(self) -> int:
        return len(self._stored)

    def keep(self, owner: str, stored: StoredResponse) -> None:
        """Keep a response of a caller; one that is larger than all the room is not kept."""
        key = (owner, stored.response.id)
        self._forget(key)
        if stored.num_bytes > self._max_bytes:
            return
        self._stored[key] = stored
        self._num_bytes += stored.num_bytes
        while len(self._stored) > self._max_items or self._num_bytes > self._max_bytes:
            self._forget(next(iter(self._stored)))

    def get(self, owner: str, response_id: str, *, param: str | None = None) -> StoredResponse:
        """Return a response of a caller.

        Raises:
            NotFoundError: never kept, no longer kept, or another caller's; names `param`.
        """
        key = (owner, response_id)
        if key not in self._stored:
            raise NotFoundError(f"There is no response {response_id[:100]!r}.", param=param)
        self._stored.move_to_end(key)
        return self._stored[key]

    def delete(self, owner: str, response_id: str) -> None:
        """Keep a response no longer; raises what `get` raises."""
        self.get(owner, response_id)
        self._forget((owner, response_id))

    def item(self, owner: str, item_id: str, *, param: str) -> JsonObject:
        """Return an item of any response of a caller.

        Raises:
            NotFoundError: there is none; names `param`.
        """
        for (name, _), stored in reversed(self._stored.items()):
            for item in stored.conversation if name == owner else ():
                if item["id"] == item_id:
                    return item
        raise NotFoundError(f"There is no item {item_id[:100]!r}.", param=param)

    def _forget(self, key: tuple[str, str]) -> None:
        stored = self._stored.pop(key, None)
        if stored is not None:
            self._num_bytes -= stored.num_bytes
