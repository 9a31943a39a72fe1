"""All skills by name: what draws their turns, and how often they are wanted."""

from collections.abc import Callable

from training import skills_chat, skills_python, skills_text, skills_tools
from training.conversation import Effort, Turn
from training.declarations import (
    Declaration,
    arithmetic,
    everyday,
    lookup,
    parameterless,
    typed,
    weather,
)
from training.words import Draw

PlainSkill = Callable[[Draw, Effort], tuple[Turn, ...]]
ToolSkill = Callable[[Draw, Effort, Declaration], tuple[Turn, ...]]
Declare = Callable[[Draw], Declaration]

PLAIN_SKILLS: dict[str, PlainSkill] = {
    "greet": skills_chat.greet,
    "fact": skills_chat.fact,
    "emoji": skills_chat.emoji,
    "sum": skills_chat.small_sum,
    "count": skills_chat.count,
    "long count": skills_chat.long_count,
    "echo": skills_chat.echo,
    "ignorance": skills_chat.ignorance,
    "memory": skills_chat.memory,
    "code": skills_text.code,
    "table": skills_text.table,
    "text": skills_text.text,
    "long text": skills_text.long_text,
}
TOOL_SKILLS: dict[str, ToolSkill] = {
    "weather tool": skills_tools.weather_tool,
    "lookup tool": skills_tools.lookup_tool,
    "arithmetic tool": skills_tools.arithmetic_tool,
    "typed tool": skills_tools.typed_tool,
    "parameterless tool": skills_tools.parameterless_tool,
    "tool error": skills_tools.tool_error,
    "compare": skills_tools.compare,
}
PYTHON_SKILLS: dict[str, PlainSkill] = {"python": skills_python.python_tool}
# What declares a tool, how often, and the skills that such a tool serves, with their shares.
DECLARERS: dict[Declare, tuple[float, dict[str, float]]] = {
    weather: (0.26, {"weather tool": 0.5, "compare": 0.35, "tool error": 0.15}),
    lookup: (0.36, {"lookup tool": 0.55, "compare": 0.28, "tool error": 0.17}),
    arithmetic: (0.11, {"arithmetic tool": 1.0}),
    typed: (0.22, {"typed tool": 1.0}),
    everyday: (0.05, {"typed tool": 1.0}),
    parameterless: (0.09, {"parameterless tool": 1.0}),
}
PLAIN_WEIGHTS = {
    "greet": 0.05,
    "fact": 0.12,
    "emoji": 0.06,
    "sum": 0.18,
    "count": 0.1,
    "long count": 0.04,
    "echo": 0.14,
    "ignorance": 0.09,
    "memory": 0.1,
    "code": 0.05,
    "table": 0.1,
    "text": 0.05,
    "long text": 0.02,
}
SKILLS = (*PLAIN_SKILLS, "json", *TOOL_SKILLS, *PYTHON_SKILLS)
