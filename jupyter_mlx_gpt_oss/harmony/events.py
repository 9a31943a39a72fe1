"""What the parser says about a completion, as values. Text is in the order in which it was sampled."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    """More text of the analysis channel."""

    text: str


@dataclass(frozen=True, slots=True)
class TextDelta:
    """More text for the user: the final channel, or a preamble on the commentary channel."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolCallStarted:
    """The model calls a function; its arguments follow."""

    name: str


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """More text of the open call's arguments."""

    arguments: str


@dataclass(frozen=True, slots=True)
class TurnEnded:
    """The model's turn is over; whatever is sampled after it does not count."""


Event = ReasoningDelta | TextDelta | ToolCallStarted | ToolCallDelta | TurnEnded
