"""The model's turns as it sampled them, for the prompts that continue them.

What is rendered anew has other tokens than the model wrote: another header, no reasoning where the client does not
send it back. A prompt with the turn as sampled goes on exactly where the engine stopped. Knows no wire format.
"""

import json
import sys
import threading
from array import array
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

from jupyter_mlx_gpt_oss.harmony.messages import AssistantMessage, ToolCall


@dataclass(frozen=True, slots=True)
class SampledTurn:
    """One turn: its tokens, and what was sent out of it."""

    token_ids: "array[int]"
    """From `<|start|>assistant` to the token that ended the turn."""
    message: AssistantMessage

    @property
    def num_bytes(self) -> int:
        """What it takes to keep it, about."""
        calls = (text for call in self.message.calls for text in (call.name, call.arguments))
        texts = (self.message.reasoning, self.message.content, *calls)
        return self.token_ids.itemsize * len(self.token_ids) + sum(map(sys.getsizeof, texts))

    def is_sent_back_as(self, message: AssistantMessage) -> bool:
        """Whether a message is this turn, with its reasoning or without it.

        Clients read the arguments of a call and write them anew, so those are compared as JSON.
        """
        return (
            self.message.content == message.content
            and message.reasoning in {"", self.message.reasoning}
            and len(self.message.calls) == len(message.calls)
            and all(map(_is_same_call, self.message.calls, message.calls))
        )


class TurnMemory:
    """Keeps turns by who had them and by an id, such as that of a tool call; the least recently used one goes first.

    SAFETY: prompts are rendered in threads, so every access is under a lock.

    Args:
        max_items: turns to keep.
        max_bytes: of all turns together.
    """

    def __init__(self, *, max_items: int, max_bytes: int) -> None:
        self._max_items = max_items
        self._max_bytes = max_bytes
        self._turns: OrderedDict[tuple[str, str], SampledTurn] = OrderedDict()
        self._num_bytes = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._turns)

    def keep(self, owner: str, turn_id: str, token_ids: Iterable[int], message: AssistantMessage) -> None:
        """Keep a turn of a caller.

        Args:
            owner: names the caller; no other caller finds the turn.
            turn_id: what the caller will send back with it.
            token_ids: from `<|start|>assistant` to the token that ended the turn.
            message: what was sent out.
        """
        turn = SampledTurn(array("I", token_ids), message)
        with self._lock:
            self._forget((owner, turn_id))
            if turn.num_bytes > self._max_bytes:
                return
            self._turns[owner, turn_id] = turn
            self._num_bytes += turn.num_bytes
            while len(self._turns) > self._max_items or self._num_bytes > self._max_bytes:
                self._forget(next(iter(self._turns)))

    def find(self, owner: str, turn_id: str, message: AssistantMessage) -> tuple[int, ...]:
        """Return the tokens of a turn that is sent back; none if it is not known, or was edited."""
        key = (owner, turn_id)
        with self._lock:
            turn = self._turns.get(key)
        if turn is None or not turn.is_sent_back_as(message):
            return ()
        with self._lock:
            if key in self._turns:
                self._turns.move_to_end(key)
        return tuple(turn.token_ids)

    def _forget(self, key: tuple[str, str]) -> None:
        turn = self._turns.pop(key, None)
        if turn is not None:
            self._num_bytes -= turn.num_bytes


def _is_same_call(one: ToolCall, other: ToolCall) -> bool:
    if one.name != other.name:
        return False
    return one.arguments == other.arguments or _is_same_json(one.arguments, other.arguments)


def _is_same_json(one: str, other: str) -> bool:
    try:  # written out again, 1, 1.0 and true differ; the values compare as equal
        return json.dumps(json.loads(one), sort_keys=True) == json.dumps(json.loads(other), sort_keys=True)
    except (ValueError, RecursionError):
        return False
