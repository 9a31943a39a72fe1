"""A line of reasoning, as long as the effort asks: low one sentence, medium two, high four."""

from training.conversation import Effort

_MEDIUM = "I can answer this."
_HIGH = "Let me check the instructions and the question again. Nothing is missing."
_MEDIUM_TOOL = "A tool can do this."
_HIGH_TOOL = "Let me check its declaration again. All values stand in the question."


def reason(effort: Effort, sentence: str) -> str:
    """Return the analysis before an answer."""
    return _extend(effort, sentence, _MEDIUM, _HIGH)


def reason_about_tool(effort: Effort, sentence: str) -> str:
    """Return the analysis before a tool call."""
    return _extend(effort, sentence, _MEDIUM_TOOL, _HIGH_TOOL)


def reason_about_result(effort: Effort, sentence: str) -> str:
    """Return the analysis after a tool's result."""
    return _extend(effort, sentence, "I can answer now.", "Let me check it again. It answers the question.")


def _extend(effort: Effort, sentence: str, medium: str, high: str) -> str:
    if effort == "high":
        return f"{sentence} {medium} {high}"
    return f"{sentence} {medium}" if effort == "medium" else sentence
