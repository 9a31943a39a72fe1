"""Draw conversations in the proportions of the skills and write them as token ids.

Usage: python -m training.corpus OUT.npz NUM_CONVERSATIONS SEED
"""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from training import skills_chat, skills_python, skills_text, skills_tools
from training.conversation import Conversation, Effort, Tool, Turn
from training.declarations import fillers
from training.render import render
from training.words import Draw

MAX_TOKENS = 1100
_INSTRUCTIONS = (
    "You are a helpful assistant.", "You are a helpful assistant. Answer briefly.", "Be concise.", "Answer politely.",
    "You are a friendly tutor for Jupyter users.", "Use tools when needed.", "Always answer in English.",
    "You are a coding assistant.", "Be kind and precise.", "Answer the question.", "Answer in one sentence.",
)  # fmt: skip

Skill = Callable[[Draw, Effort], Conversation]
SKILLS: dict[str, tuple[Skill, float]] = {
    "greet": (skills_chat.greet, 0.05),
    "fact": (skills_chat.fact, 0.06),
    "emoji": (skills_chat.emoji, 0.03),
    "sum": (skills_chat.small_sum, 0.07),
    "count": (skills_chat.count, 0.05),
    "long count": (skills_chat.long_count, 0.012),
    "echo": (skills_chat.echo, 0.06),
    "ignorance": (skills_chat.ignorance, 0.06),
    "memory": (skills_chat.memory, 0.07),
    "code": (skills_text.code, 0.025),
    "table": (skills_text.table, 0.03),
    "text": (skills_text.text, 0.018),
    "long text": (skills_text.long_text, 0.012),
    "json": (skills_text.json_answer, 0.10),
    "weather tool": (skills_tools.weather_tool, 0.07),
    "lookup tool": (skills_tools.lookup_tool, 0.11),
    "arithmetic tool": (skills_tools.arithmetic_tool, 0.05),
    "typed tool": (skills_tools.typed_tool, 0.09),
    "parameterless tool": (skills_tools.parameterless_tool, 0.04),
    "tool error": (skills_tools.tool_error, 0.05),
    "compare": (skills_tools.compare, 0.07),
    "python": (skills_python.python_tool, 0.05),
}
_WITHOUT_TOOLS = {
    "greet",
    "fact",
    "emoji",
    "sum",
    "count",
    "echo",
    "ignorance",
    "memory",
    "code",
    "table",
    "text",
    "long text",
    "json",
}
_SMALL_TALK = (
    skills_chat.greet,
    skills_chat.thank,
    skills_chat.fact,
    skills_chat.emoji,
    skills_chat.echo,
    skills_text.code,
    skills_text.table,
)


def draw_effort(draw: Draw, skill: str) -> Effort:
    """Return a reasoning effort; only skills that need no tool may go without analysis."""
    efforts: list[Effort] = ["low", "medium", "high", "none"]
    weights = [0.40, 0.42, 0.10, 0.0 if skill == "python" else 0.08 if skill in _WITHOUT_TOOLS else 0.04]
    return draw.random.choices(efforts, weights)[0]


def draw_conversation(draw: Draw, skill: str) -> Conversation:
    """Return a conversation that shows `skill`, with random instructions, unneeded tools and small talk before."""
    effort = draw_effort(draw, skill)
    conversation = SKILLS[skill][0](draw, effort)
    turns, tools = conversation.turns, conversation.tools
    if skill in _WITHOUT_TOOLS and draw.chance(0.18):
        tools = _unneeded_tools(draw, skill)
    turns = _small_talk(draw, effort, has_tools=bool(tools)) + turns
    return replace(
        conversation, turns=turns, tools=tools, instructions=_instructions(draw), effort=effort, skill=skill
    )


def _small_talk(draw: Draw, effort: Effort, *, has_tools: bool) -> tuple[Turn, ...]:
    """Return turns before the one that matters: many sums and facts for the price of one prompt."""
    counts = draw.random.choices(
        [0, 1, 2, 3], [0.85, 0.11, 0.04, 0] if has_tools else [0.62, 0.18, 0.12, 0.08]
    )
    skills = _SMALL_TALK if has_tools else (*_SMALL_TALK, *[skills_chat.small_sum] * 4)
    return tuple(turn for _ in range(counts[0]) for turn in draw.random.choice(skills)(draw, effort).turns)


def _unneeded_tools(draw: Draw, skill: str) -> tuple[Tool, ...]:
    avoid = frozenset({"add", "subtract"}) if skill == "sum" else frozenset()
    tools = {tool.name: tool for tool in fillers(draw, draw.random.choice([1, 1, 2, 3]), avoid=avoid)}
    return tuple(tools.values())


def _instructions(draw: Draw) -> str | None:
    kind = draw.random.random()
    if kind < 0.7:
        return None
    if kind < 0.88:
        return draw.pick(*_INSTRUCTIONS)
    opening = " ".join(draw.pick(*_INSTRUCTIONS).split()[:3])
    return f"{opening} {draw.phrase(draw.random.randint(1, 30))}." + draw.pick(
        "", "", "\n", "\n\nBe concise."
    )


def write_corpus(out: Path, num_conversations: int, seed: int) -> None:
    """Write `num_conversations`, as token ids, masks, lengths and indices of skills."""
    draw = Draw(seed)
    names = list(SKILLS)
    weights = [weight for _, weight in SKILLS.values()]
    ids: list[npt.NDArray[np.int32]] = []
    masks: list[npt.NDArray[np.uint8]] = []
    lengths: list[int] = []
    skills: list[int] = []
    while len(lengths) < num_conversations:
        skill = draw.random.choices(names, weights)[0]
        token_ids, mask = render(draw, draw_conversation(draw, skill))
        if len(token_ids) > MAX_TOKENS:
            continue
        ids.append(np.array(token_ids, np.int32))
        masks.append(np.array(mask, np.uint8))
        lengths.append(len(token_ids))
        skills.append(names.index(skill))
    out.parent.mkdir(parents=True, exist_ok=True)
    np.savez(
        out,
        ids=np.concatenate(ids),
        mask=np.concatenate(masks),
        lengths=np.array(lengths),
        skills=np.array(skills),
    )
    print(
        f"{out}: {len(lengths)} conversations, {sum(lengths)} tokens, learned {np.concatenate(masks).mean():.0%}"
    )


if __name__ == "__main__":
    write_corpus(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
