"""A conversation: the turns that cells took, and what becomes of them when a cell runs again.

Knows nothing of IPython or HTTP; a cell is known here by its key.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from typing_extensions import override

DEFAULT_NAME = "main"


@dataclass(frozen=True, slots=True)
class Turn:
    """What one cell asked, and every message that followed from it.

    `starts_over` is `--new`: earlier turns are not part of this turn's conversation. They are kept all the
    same, so that a cell of theirs that runs again finds its place. `system` is None where the cell did not say.
    """

    cell_key: str
    messages: tuple[dict[str, Any], ...]
    system: str | None = None
    starts_over: bool = False


@dataclass(slots=True)
class Conversation:
    """Turns in the order of the cells. Owned by the kernel's main thread."""

    name: str = DEFAULT_NAME
    turns: list[Turn] = field(default_factory=list)

    @property
    def messages(self) -> list[dict[str, Any]]:
        """Everything that the next cell continues, as OpenAI messages; the system message first."""
        thread = self._thread()
        system = next((turn.system for turn in reversed(thread) if turn.system is not None), None)
        head = [] if system is None else [{"role": "system", "content": system}]
        return [*head, *(message for turn in thread for message in turn.messages)]

    def rewind(self, cell_key: str) -> None:
        """Forget the turn of this cell and every later one; nothing happens if the cell has none."""
        keys = [turn.cell_key for turn in self.turns]
        if cell_key in keys:
            del self.turns[keys.index(cell_key) :]

    def with_turn(self, turn: Turn) -> "Conversation":
        """Return this conversation with one turn more, leaving this one as it is."""
        return Conversation(self.name, [*self.turns, turn])

    def _thread(self) -> Sequence[Turn]:
        starts = [number for number, turn in enumerate(self.turns) if turn.starts_over]
        return self.turns[starts[-1] :] if starts else self.turns

    @override
    def __repr__(self) -> str:
        return f"Conversation({self.name!r}, {len(self._thread())} turns)"


@contextmanager
def rewound(conversations: Sequence[Conversation], cell_key: str) -> Iterator[None]:
    """Rewind conversations to before a cell; if it fails they are as if it had not been asked."""
    before = [(conversation, [*conversation.turns]) for conversation in conversations]
    is_answered = False
    for conversation in conversations:
        conversation.rewind(cell_key)
    try:
        yield
        is_answered = True
    finally:
        if not is_answered:
            for conversation, turns in before:
                conversation.turns = turns


@dataclass(slots=True)
class CellKeys:
    """Gives each cell the key by which its conversation knows it again.

    A front end that names its cells (JupyterLab, Notebook, VS Code) sends the name with each execution. Where
    it does not, a cell is its text; in a terminal each input is a cell of its own. A cell that asks several
    times (a loop around `run_cell_magic`) gets a key for each.
    """

    _execution: object = None
    _calls: int = 0

    def next_key(self, parent: Mapping[str, Any], text: str, terminal_execution: int | None) -> str:
        """Return the key of the cell that runs now.

        Args:
            parent: the execute_request that the kernel is serving; empty outside a kernel.
            text: the magic's line and cell.
            terminal_execution: the input's number in a terminal, None elsewhere.
        """
        if terminal_execution is not None:
            return self._count(terminal_execution, f"input:{terminal_execution}")
        cell_id = (parent.get("metadata") or {}).get("cellId")
        name = f"text:{text}" if cell_id is None else f"cell:{cell_id}"
        execution = (parent.get("header") or {}).get("msg_id")
        return name if execution is None else self._count(execution, name)

    def _count(self, execution: object, prefix: str) -> str:
        self._calls = self._calls + 1 if execution == self._execution else 0
        self._execution = execution
        return f"{prefix}#{self._calls}"
