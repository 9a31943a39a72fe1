"""A line of reasoning, as long as the effort asks: low one sentence, medium two, high five."""

from training.conversation import Effort

_MEDIUM = "The user wants a short and correct answer."
_HIGH = (
    "Let me think about it step by step. I have read the instructions and the question again. "
    "Nothing is missing and the format is clear."
)
_MEDIUM_TOOL = "A tool can do this."
_HIGH_TOOL = (
    "Let me check the declaration of the tool and its arguments. All values stand in the question. "
    "The call goes to the commentary channel."
)


def reason(effort: Effort, sentence: str) -> str:
    """Return the analysis before an answer."""
    return _extend(effort, sentence, _MEDIUM, _HIGH)


def reason_about_tool(effort: Effort, sentence: str) -> str:
    """Return the analysis before a tool call."""
    return _extend(effort, sentence, _MEDIUM_TOOL, _HIGH_TOOL)


def reason_about_result(effort: Effort, sentence: str) -> str:
    """Return the analysis after a tool's result."""
    return _extend(
        effort, sentence, "I can answer now.", "The result answers the question. I will repeat it exactly."
    )


def _extend(effort: Effort, sentence: str, medium: str, high: str) -> str:
    if effort == "high":
        return f"{sentence} {medium} {high}"
    return f"{sentence} {medium}" if effort == "medium" else sentence
