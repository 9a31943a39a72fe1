"""The header of a message, as sampled, to a heading: where the message's text goes.

Every rule about roles, channels and headers that were never completed is in this file; recipients have their own.
Policy: the last known channel wins, matched by its beginning in any case; an unknown channel is reasoning;
text without a header is undecided until it is known what follows. Source: tests/data/harmony/.
"""

import re
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Self

from jupyter_mlx_gpt_oss.harmony.python_tool import PYTHON
from jupyter_mlx_gpt_oss.harmony.recipient import (
    CHANNELS,
    CONTENT_TYPES,
    Recipient,
    RecipientKind,
    find_recipients,
)

_HEADER_WORDS = ("assistant", *CHANNELS, *CONTENT_TYPES)
_CHANNEL = re.compile(r"\W*(?:assistant\W*)*(analysis|commentary|final)", re.IGNORECASE)
_GLUED_CHANNEL = re.compile("(analysis|commentary|final)")
# Not the word of a sentence: finally, final answers. A recipient or a content type may follow, or its beginning.
_BARE_CHANNEL = re.compile(
    r"(analysis|commentary|final)(?![a-z]| (?!(?:to=|t(?:o)?$|(?:json|code)\b|j(?:so?)?$|c(?:od?)?$))[a-z])"
)
_ASSISTANT = re.compile(r"(?:assistant)+")
_STARTED_ASSISTANT = re.compile(r"\s*(?:assistant)+", re.IGNORECASE)
_FOREIGN_ROLE = re.compile(r"\s*(?:user|system|developer|tool|functions|browser|container|python)\b")
_BARE_FOREIGN_ROLE = re.compile(r"\s*(?:user|system|developer|tool)\s*")
_CALL_CONTENT_TYPE = re.compile(r"\s*(?:json|code)\b")
_JSON_CONTENT_TYPE = re.compile(r"\s*json\b")
_JSON_START = re.compile(r"[{\[]")
_TEXT_CONTENT_TYPE = re.compile(r"\s*json\b(?=\s*[{\[])")


class Destination(Enum):
    """Where the text of a message goes."""

    REASONING = auto()
    CONTENT = auto()
    CALL = auto()
    UNDECIDED = auto()
    """No header says: reasoning if a proper message follows, else content."""
    FOREIGN = auto()
    """A turn of the user, the system or a tool, which the model invented: its own turn is over."""


@dataclass(frozen=True, slots=True)
class Heading:
    """What a header says."""

    destination: Destination
    name: str = ""
    """Of the function called; of reasoning, the tool that was called and not offered."""
    ends_turn: bool = False
    """Whether `<|end|>` after this message ends the turn: a final message, or one with a recipient."""
    prose: str = ""
    """Text before the header, which belongs to no header."""
    body: str = ""
    """Text of the message that stands in the header, because `<|message|>` never came."""
    is_code: bool = False
    """Whether the text of a call is raw code: it goes to the python tool, and its header does not say JSON."""


class _Marker(Enum):
    ROLE = auto()
    CHANNEL = auto()
    CONTENT_TYPE = auto()


@dataclass(slots=True)
class _Segment:
    """The text after one control token of the header."""

    marker: _Marker
    pieces: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(self.pieces)


@dataclass(frozen=True, slots=True)
class _Part:
    """One segment, read."""

    marker: _Marker
    channel: str | None
    recipients: tuple[Recipient, ...]
    rest: str
    is_json: bool
    """Whether a content type says JSON."""

    @classmethod
    def read(
        cls, segment: _Segment, tools: frozenset[str], *, is_complete: bool, is_behind_role: bool
    ) -> Self:
        text = segment.text
        pattern = _CHANNEL
        if segment.marker is _Marker.ROLE and not is_complete:
            pattern = _GLUED_CHANNEL if is_behind_role else _BARE_CHANNEL
        channel = None if segment.marker is _Marker.CONTENT_TYPE else pattern.match(text)
        begin = channel.end() if channel else 0
        recipients = []
        end = begin
        for recipient in find_recipients(text, tools):
            if is_complete or _is_header(text[end : recipient.start]):
                recipients.append(recipient)
                end = recipient.end
        rest = text[end:].lstrip("?") if channel or recipients else text
        is_json = bool(_JSON_CONTENT_TYPE.match(rest))
        if segment.marker is _Marker.CONTENT_TYPE:
            rest = _after_content_type(rest)
        return cls(segment.marker, channel[1].lower() if channel else None, tuple(recipients), rest, is_json)


class Header:
    """Collect a header's tokens and read them.

    Args:
        tools: the names offered.
        is_started: whether `<|start|>` was sampled; the prompt's own ended in `<|start|>assistant`.
    """

    def __init__(self, tools: frozenset[str], *, is_started: bool) -> None:
        self._tools = tools
        self._is_started = is_started
        self._segments = [_Segment(_Marker.ROLE)]
        self.num_tokens = 0
        self.num_text_tokens = 0

    def add(self, text: str) -> None:
        """Take the text of one more token."""
        self._segments[-1].pieces.append(text)

    def add_channel(self) -> None:
        """Take `<|channel|>`."""
        self._segments.append(_Segment(_Marker.CHANNEL))

    def add_content_type(self) -> None:
        """Take `<|constrain|>`."""
        self._segments.append(_Segment(_Marker.CONTENT_TYPE))

    def holds_prose(self) -> bool:
        """Say whether a channel is followed by text that is no header: its `<|message|>` is missing."""
        return len(self._segments) > 1 and _is_prose(self.read(is_complete=False).body)

    def read(self, *, is_complete: bool) -> Heading:
        """Return the heading; `is_complete` says that `<|message|>` came."""
        role = self._role_text()
        is_behind_role = len(role) < len(self._segments[0].text)
        if self._is_foreign(role, is_complete=is_complete):
            return Heading(Destination.FOREIGN)
        prose = ""
        if is_complete or len(self._segments) > 1:
            prose, role = _split_prose(role, self._tools)
        segments = [_Segment(_Marker.ROLE, [role]), *self._segments[1:]]
        parts = [
            _Part.read(segment, self._tools, is_complete=is_complete, is_behind_role=is_behind_role)
            for segment in segments
        ]
        has_role_alone = len(parts) == 1 or parts[1].marker is not _Marker.CHANNEL
        winner = _winning_index(parts)
        destination, name, ends_turn = _destination(parts, winner)
        body = ""
        if not is_complete:
            body = "".join(part.rest for part in parts[winner if has_role_alone else max(winner, 1) :])
            body = _trim(body, destination)
        is_code = destination is Destination.CALL and name == PYTHON and _is_code(parts)
        return Heading(destination, name, ends_turn, prose, body, is_code)

    def read_cut_short(self) -> Heading:
        """Return the heading of a header in which the completion was cut off: only text without a header counts."""
        heading = self.read(is_complete=False)
        if heading.destination is Destination.UNDECIDED:
            begun = heading.body.strip()
            if not any(word.startswith(begun) for word in (*_HEADER_WORDS, "to=")):
                return heading
        return Heading(Destination.UNDECIDED, prose=heading.prose)

    def _role_text(self) -> str:
        text = self._segments[0].text
        assistant = (_STARTED_ASSISTANT if self._is_started else _ASSISTANT).match(text)
        return text[assistant.end() :] if assistant else text

    def _is_foreign(self, role: str, *, is_complete: bool) -> bool:
        text = self._segments[0].text
        if len(role) < len(text):
            return False
        if not self._is_started:
            return bool(_BARE_FOREIGN_ROLE.fullmatch(role)) and (is_complete or len(self._segments) > 1)
        words = role.split()
        return bool(_FOREIGN_ROLE.match(role)) or (
            bool(words) and (words[0] in self._tools or words[1:2] == ["to=assistant"])
        )


def _split_prose(role: str, tools: frozenset[str]) -> tuple[str, str]:
    """Split the text before `<|channel|>` or `<|message|>` into what is no header and what is."""
    first = next(find_recipients(role, tools), None)
    start = first.start if first else len(role)
    return ("", role) if _is_header(role[:start]) else (role[:start], role[start:])


def _is_header(text: str) -> bool:
    return all(word.lower().startswith(_HEADER_WORDS) for word in re.findall(r"\w+", text))


def _is_prose(text: str) -> bool:
    return len(text.split(maxsplit=2)) > 1


def _winning_index(parts: list[_Part]) -> int:
    known = [index for index, part in enumerate(parts) if part.channel]
    named = [index for index, part in enumerate(parts) if part.marker is _Marker.CHANNEL]
    return (known or named or [0])[-1]


def _destination(parts: list[_Part], winner: int) -> tuple[Destination, str, bool]:
    """Return where the text goes, the tool called, and whether `<|end|>` ends the turn."""
    recipient = _recipient(parts, winner)
    channel = parts[winner].channel
    if recipient and recipient.kind >= RecipientKind.UNKNOWN:
        return Destination.CALL, recipient.name, True
    if recipient:
        is_call = recipient.kind is RecipientKind.NOT_OFFERED
        return Destination.REASONING, recipient.path if is_call else "", is_call
    if channel in {"commentary", "final"}:
        return Destination.CONTENT, "", channel == "final"
    if channel == "analysis" or any(part.rest.strip() for part in parts if part.marker is _Marker.CHANNEL):
        return Destination.REASONING, "", False
    return Destination.UNDECIDED, "", False


def _recipient(parts: list[_Part], winner: int) -> Recipient | None:
    best = None
    for index, part in enumerate(parts):
        is_superseded = part.marker is _Marker.CHANNEL and index < winner
        for recipient in part.recipients:
            if is_superseded and recipient.kind is RecipientKind.SELF:
                continue
            if best is None or recipient.kind >= best.kind:
                best = recipient
    return best


def _is_code(parts: list[_Part]) -> bool:
    """Say whether a call of the name `python` carries code, not the arguments of a function of that name."""
    is_function = any(recipient.is_function for part in parts for recipient in part.recipients)
    return not is_function and not any(part.is_json for part in parts)


def _trim(body: str, destination: Destination) -> str:
    """Take away what still belongs to the header: white space and a content type before the text."""
    if destination is Destination.UNDECIDED:
        return body
    content_type = _CALL_CONTENT_TYPE if destination is Destination.CALL else _TEXT_CONTENT_TYPE
    found = content_type.match(body)
    return body[found.end() if found else 0 :].lstrip()


def _after_content_type(text: str) -> str:
    json_start = _JSON_START.search(text)
    if json_start:
        return text[json_start.start() :]
    words = text.split(maxsplit=1)
    return words[1] if len(words) > 1 else ""
