"""The responses that are kept, by who had them. Knows no wire format: a response is a value of some size."""

import threading
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
    def own_items(self) -> tuple[JsonObject, ...]:
        """The items that came with this response, not those of the responses before it."""
        return (*self.input_items, *self.output_items)

    @property
    def conversation(self) -> tuple[JsonObject, ...]:
        """All items up to the end of this response."""
        return (*self.context, *self.own_items)


class ResponseStore:
    """Keeps responses of all callers, and finds their items; the least recently used response goes first.

    SAFETY: requests are read in threads, so every access is under a lock.

    Args:
        max_items: responses to keep.
        max_bytes: of all responses together.
    """

    def __init__(self, *, max_items: int, max_bytes: int) -> None:
        self._max_items = max_items
        self._max_bytes = max_bytes
        self._stored: OrderedDict[tuple[str, str], StoredResponse] = OrderedDict()
        self._items: dict[tuple[str, str], list[JsonObject]] = {}
        """By owner and id: the item as each response has it, in the order in which these were kept."""
        self._num_bytes = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._stored)

    def keep(self, owner: str, stored: StoredResponse) -> None:
        """Keep a response of a caller; one that is larger than all the room is not kept. O(items of its own)."""
        key = (owner, stored.response.id)
        with self._lock:
            self._forget(key)
            if stored.num_bytes > self._max_bytes:
                return
            self._stored[key] = stored
            self._num_bytes += stored.num_bytes
            for item in stored.own_items:
                self._items.setdefault((owner, item["id"]), []).append(item)
            while len(self._stored) > self._max_items or self._num_bytes > self._max_bytes:
                self._forget(next(iter(self._stored)))

    def get(self, owner: str, response_id: str, *, param: str | None = None) -> StoredResponse:
        """Return a response of a caller.

        Raises:
            NotFoundError: never kept, no longer kept, or another caller's; names `param`.
        """
        key = (owner, response_id)
        with self._lock:
            if key not in self._stored:
                raise NotFoundError(f"There is no response {response_id[:100]!r}.", param=param)
            self._stored.move_to_end(key)
            return self._stored[key]

    def delete(self, owner: str, response_id: str) -> None:
        """Keep a response no longer; raises what `get` raises."""
        self.get(owner, response_id)
        with self._lock:
            self._forget((owner, response_id))

    def item(self, owner: str, item_id: str, *, param: str) -> JsonObject:
        """Return an item of any response of a caller, as the last one has it that was kept. O(1).

        Raises:
            NotFoundError: there is none; names `param`.
        """
        with self._lock:
            found = self._items.get((owner, item_id))
            if found is None:
                raise NotFoundError(f"There is no item {item_id[:100]!r}.", param=param)
            return found[-1]

    def _forget(self, key: tuple[str, str]) -> None:
        stored = self._stored.pop(key, None)
        if stored is None:
            return
        self._num_bytes -= stored.num_bytes
        owner, _ = key
        for item in stored.own_items:
            item_key = (owner, item["id"])
            found = self._items[item_key]
            found.remove(item)
            if not found:
                del self._items[item_key]
