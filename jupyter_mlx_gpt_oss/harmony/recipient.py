"""The words after `to=` in a header to whom they mean: a function, the assistant itself, or nobody.

Policy: `functions.NAME` and `NAME` on any channel are calls, and the declared tool that fits best is meant.
Source: openai/harmony docs/format.md, "Function calling"; tests/data/harmony/.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

CONTENT_TYPES = ("json", "code")
CHANNELS = ("analysis", "commentary", "final")

_TO = re.compile(
    r"(?:(?<![A-Za-z0-9_])|(?<=analysis)|(?<=commentary)|(?<=final)|(?<=assistant)|(?<=json))to ?= ?"
)
_NAMESPACE = re.compile(r"(?:functions\.\s*)*")
_NAME = re.compile(r"[A-Za-z0-9_.$-]*")
_NOT_RECIPIENTS = {*CONTENT_TYPES, *CHANNELS, "user", "all", "system", "developer", ""}
_BUILT_IN = re.compile(r"(?:browser|container|python)(?:\.|$)")
# A declared name may run into the next word of the header, as in `get_weatherjson`, but not into a longer name.
_NAME_ENDS = re.compile(r"$|[^A-Za-z0-9_-]|json|code|analysis|commentary|final|assistant|functions|to=")


class RecipientKind(IntEnum):
    """What a recipient is; where a header names several, the higher kind counts."""

    SELF = 1
    """The assistant: the model talks to itself."""
    NOT_OFFERED = 2
    """A call that the client did not ask for: a built-in tool, or any name where no tools are offered."""
    UNKNOWN = 3
    """A call of a name that is not among the tools offered; the client reports it."""
    DECLARED = 4
    """A call of a tool offered."""


@dataclass(frozen=True, slots=True)
class Recipient:
    """One recipient and where the words that name it stand: text[start:end]."""

    kind: RecipientKind
    name: str
    start: int
    end: int
    is_function: bool = False
    """Whether `functions.` stands before the name: no built-in tool is meant."""

    @property
    def path(self) -> str:
        """The name with its namespace."""
        return f"functions.{self.name}" if self.is_function else self.name


def find_recipients(text: str, tools: frozenset[str]) -> Iterator[Recipient]:
    """Yield the recipients named in a piece of a header, in order; `tools` are the names offered."""
    for to in _TO.finditer(text):
        recipient = _recipient_at(text, to, tools)
        if recipient:
            yield recipient


def _recipient_at(text: str, to: re.Match[str], tools: frozenset[str]) -> Recipient | None:
    namespace = _NAMESPACE.match(text, to.end())
    assert namespace, "the pattern matches the empty text"
    begin = namespace.end()
    declared = [
        name for name in tools if text.startswith(name, begin) and _NAME_ENDS.match(text, begin + len(name))
    ]
    if declared:
        name = max(declared, key=len)
        is_function = bool(namespace[0])
        return Recipient(RecipientKind.DECLARED, name, to.start(), begin + len(name), is_function)
    found = _NAME.match(text, begin)
    assert found, "the pattern matches the empty text"
    name = found[0]
    if name.lower().startswith("assistant") or name == "functions" or (namespace[0] and not name):
        return Recipient(RecipientKind.SELF, name, to.start(), found.end())
    if name.lower() in _NOT_RECIPIENTS and not namespace[0]:
        return None
    is_built_in = _BUILT_IN.match(name) and not namespace[0]
    kind = RecipientKind.NOT_OFFERED if is_built_in or not tools else RecipientKind.UNKNOWN
    return Recipient(kind, name, to.start(), found.end(), bool(namespace[0]))
