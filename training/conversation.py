"""The nouns of the corpus: a conversation that is to be rendered, its turns, steps and tools."""

from dataclasses import dataclass
from typing import Any, Literal

Effort = Literal["none", "low", "medium", "high"]
StepKind = Literal["analysis", "preamble", "call", "result", "python_call", "python_result", "final"]


@dataclass(frozen=True, slots=True)
class Step:
    """One message of the assistant or of a tool. `tool` names the function of a call or result."""

    kind: StepKind
    text: str
    tool: str = ""


@dataclass(frozen=True, slots=True)
class Turn:
    """A user's message and what follows it, up to the final answer."""

    user: str
    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Tool:
    """A declared function; `parameters` is a JSON schema, or None for a function without parameters."""

    name: str
    description: str
    parameters: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class ResponseFormat:
    """A response format; `schema` is JSON text."""

    name: str
    description: str
    schema: str


@dataclass(frozen=True, slots=True)
class Conversation:
    """A prompt and the answer to learn: the steps of the last turn."""

    turns: tuple[Turn, ...]
    tools: tuple[Tool, ...] = ()
    instructions: str | None = None
    response_format: ResponseFormat | None = None
    has_python: bool = False
    effort: Effort = "medium"
    skill: str = ""


def answer(analysis: str, final: str) -> tuple[Step, ...]:
    """Return the steps of a plain answer."""
    return (Step("analysis", analysis), Step("final", final))
