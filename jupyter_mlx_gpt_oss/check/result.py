"""What a check found: a value for the terminal and for the report."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Status(StrEnum):
    """How a check ended."""

    PASS = "pass"  # noqa: S105  not a password
    WARN = "warn"
    """It works, and not as well as it should."""
    FAIL = "fail"
    """It does not work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """The outcome of one check."""

    name: str
    status: Status
    sentence: str
    """For a person. Like the figures it goes into the report: no path, no name, no text of the user's."""
    figures: Mapping[str, float | int | None] = field(default_factory=dict)
    """By name; the unit stands in the name."""
