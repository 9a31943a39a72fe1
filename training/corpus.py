"""Draw families of conversations and write them as token ids.

A family is several conversations behind one prologue: the system message, the instructions and the declared tools. The
prologue is most of a prompt and nothing of it is learned, so that it is computed once for all of them (`training.data`).

A review is a corpus of what takes longest to learn: sums, lists that are repeated, one tool of several, calls without a plan.

Usage: python -m training.corpus OUT.npz NUM_FAMILIES SEED [--review]
"""

import argparse
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from training import skills_chat, skills_text
from training.conversation import Conversation, Effort, Turn
from training.declarations import Declaration
from training.render import render_family
from training.skills import (
    DECLARERS,
    PLAIN_SKILLS,
    PLAIN_WEIGHTS,
    PYTHON_SKILLS,
    TOOL_SKILLS,
    Declare,
    PlainSkill,
)
from training.words import Draw

MAX_BRANCH_TOKENS = 900
_KINDS = {"plain": 0.28, "tools": 0.48, "json": 0.15, "python": 0.09}
_REVIEW_KINDS = {"plain": 0.38, "tools": 0.4, "json": 0.18, "python": 0.04}
_REVIEW_WEIGHTS = {
    "greet": 0.04,
    "sum": 0.26,
    "echo": 0.34,
    "table": 0.15,
    "count": 0.07,
    "long count": 0.06,
    "fact": 0.08,
}
# A word said twice in a row is rare, and what follows it is not known from the word alone.
_REVIEW_SKILLS: dict[str, PlainSkill] = {**PLAIN_SKILLS, "echo": partial(skills_chat.echo, repeats=0.4)}
_TOOLS, _REVIEW_TOOLS = (1, 1, 1, 2, 2, 3), (1, 2, 2, 3, 3)  # how many are declared
_NUM_BRANCHES = {"plain": (4, 9), "tools": (3, 7), "json": (4, 6), "python": (4, 6)}
_INSTRUCTIONS = (
    "You are a helpful assistant.", "You are a helpful assistant. Answer briefly.", "Be concise.", "Answer politely.",
    "You are a friendly tutor for Jupyter users.", "Use tools when needed.", "Always answer in English.",
    "You are a coding assistant.", "Be kind and precise.", "Answer the question.", "Answer in one sentence.",
)  # fmt: skip
_SMALL_TALK = (
    skills_chat.greet,
    skills_chat.thank,
    skills_chat.fact,
    skills_chat.emoji,
    skills_chat.echo,
    skills_text.code,
    skills_text.table,
)
_TOOLS_COULD = {"sum", "count", "long count"}  # what a declared tool might be meant to do
_BESIDE_TOOLS = ("greet", "fact", "emoji", "echo", "ignorance", "memory")  # skills that no tool serves
_Key = TypeVar("_Key")


def _weighted(draw: Draw, weights: dict[_Key, float]) -> _Key:
    return draw.random.choices(list(weights), list(weights.values()))[0]


def draw_conversation(draw: Draw, skill: str) -> Conversation:
    """Return one conversation that shows `skill`."""
    if skill == "json":
        return _json_family(draw, 1)[0]
    if skill in PYTHON_SKILLS:
        return _python_family(draw, 1)[0]
    if skill in TOOL_SKILLS:
        return _tool_family(draw, 1, skill)[0]
    return _plain_family(draw, 1, skill)[0]


def draw_family(draw: Draw, *, is_review: bool = False) -> list[Conversation]:
    """Return conversations that have the prologue in common."""
    kind = _weighted(draw, _REVIEW_KINDS if is_review else _KINDS)
    count = draw.random.randint(*_NUM_BRANCHES[kind])
    if kind == "tools":
        return _tool_family(draw, count, is_review=is_review)
    if kind == "json":
        return _json_family(draw, count)
    if kind == "python":
        return _python_family(draw, count)
    return _plain_family(draw, count, is_review=is_review)


def _prologue(draw: Draw, no_analysis: float) -> Conversation:
    efforts: dict[Effort, float] = {"low": 0.52, "medium": 0.32, "high": 0.08, "none": no_analysis}
    return Conversation((), instructions=_instructions(draw), effort=_weighted(draw, efforts))


def _plain_family(
    draw: Draw, count: int, skill: str | None = None, *, is_review: bool = False
) -> list[Conversation]:
    """Ask for what needs no tool; now and then tools are declared all the same."""
    skills, weights = (_REVIEW_SKILLS, _REVIEW_WEIGHTS) if is_review else (PLAIN_SKILLS, PLAIN_WEIGHTS)
    prologue = _prologue(draw, no_analysis=0.08)
    if draw.chance(0.15) and skill not in _TOOLS_COULD:
        tools = tuple(each.tool for _, each in _declarations(draw, draw.random.choice([1, 1, 2])))
        prologue = replace(prologue, tools=tools)
        weights = {name: weight for name, weight in weights.items() if name not in _TOOLS_COULD}
    family = []
    for _ in range(count):
        chosen = skill or _weighted(draw, weights)
        turns = _small_talk(draw, prologue) + skills[chosen](draw, prologue.effort)
        family.append(replace(prologue, turns=turns, skill=chosen))
    return family


def _tool_family(
    draw: Draw, count: int, skill: str | None = None, *, is_review: bool = False
) -> list[Conversation]:
    """Declare one to three tools; each conversation asks for one of them, or a few for none."""
    wanted = [declare for declare, (_, skills) in DECLARERS.items() if skill is None or skill in skills]
    declared = _declarations(draw, draw.random.choice(_REVIEW_TOOLS if is_review else _TOOLS), wanted)
    tools = [each.tool for _, each in declared]
    draw.random.shuffle(tools)
    prologue = replace(_prologue(draw, no_analysis=0.5 if is_review else 0.1), tools=tuple(tools))
    family = []
    for index in range(count):
        declare, declaration = declared[0 if skill else index % len(declared)]
        chosen = skill or _weighted(draw, DECLARERS[declare][1])
        turns = TOOL_SKILLS[chosen](draw, prologue.effort, declaration)
        if skill is None and index and draw.chance(0.1):
            chosen = draw.pick(*_BESIDE_TOOLS)
            turns = PLAIN_SKILLS[chosen](draw, prologue.effort)
        family.append(replace(prologue, turns=_small_talk(draw, prologue) + turns, skill=chosen))
    return family


def _json_family(draw: Draw, count: int) -> list[Conversation]:
    response_format, keys = skills_text.json_format(draw)
    prologue = replace(_prologue(draw, no_analysis=0.08), response_format=response_format, skill="json")
    answers = [skills_text.json_answer(draw, prologue.effort, keys) for _ in range(count)]
    return [replace(prologue, turns=turns) for turns in answers]


def _python_family(draw: Draw, count: int) -> list[Conversation]:
    prologue = replace(_prologue(draw, no_analysis=0.0), has_python=True, skill="python")
    answers = [PYTHON_SKILLS["python"](draw, prologue.effort) for _ in range(count)]
    return [replace(prologue, turns=turns) for turns in answers]


def _declarations(
    draw: Draw, count: int, wanted: list[Declare] | None = None
) -> list[tuple[Declare, Declaration]]:
    """Return tools of different names and nouns; the first is of one of the kinds that are `wanted`."""
    declared: list[tuple[Declare, Declaration]] = []
    while len(declared) < count:
        kinds = wanted if wanted and not declared else list(DECLARERS)
        declare = _weighted(draw, {kind: DECLARERS[kind][0] for kind in kinds})
        new = declare(draw)
        taken = {name for _, each in declared for name in (each.noun, each.tool.name)}
        if not taken & {new.noun, new.tool.name}:
            declared.append((declare, new))
    return declared


def _small_talk(draw: Draw, prologue: Conversation) -> tuple[Turn, ...]:
    """Return turns before the one that matters."""
    has_tools = bool(prologue.tools)
    counts = (0.88, 0.1, 0.02, 0.0) if has_tools else (0.66, 0.16, 0.08, 0.1)
    count = draw.random.choices([0, 1, 2, 5], counts)[0]
    skills: tuple[PlainSkill, ...] = (
        _SMALL_TALK if has_tools else (*_SMALL_TALK, skills_chat.small_sum, skills_chat.small_sum)
    )
    if count == 5:
        skills = (skills_chat.fact, skills_chat.emoji, skills_chat.small_sum, skills_chat.small_sum)
    return tuple(turn for _ in range(count) for turn in draw.random.choice(skills)(draw, prologue.effort))


def _instructions(draw: Draw) -> str | None:
    kind = draw.random.random()
    if kind < 0.7:
        return None
    if kind < 0.9:
        return draw.pick(*_INSTRUCTIONS)
    opening = " ".join(draw.pick(*_INSTRUCTIONS).split()[:3])
    ending = draw.pick("", "", "\n", "\n\nBe concise.")
    return f"{opening} {draw.phrase(draw.random.randint(1, 15))}.{ending}"


def write_corpus(out: Path, num_families: int, seed: int, *, is_review: bool = False) -> None:
    """Write `num_families`: token ids, weights, branches (0 is the prologue), and how long each family is."""
    draw = Draw(seed)
    parts: list[npt.NDArray[np.int32]] = []
    lengths: list[int] = []
    while len(lengths) < num_families:
        rendered = render_family(draw, draw_family(draw, is_review=is_review), MAX_BRANCH_TOKENS)
        if not rendered:
            continue
        parts.append(np.array(rendered, np.int32))
        lengths.append(len(rendered))
    columns = np.concatenate(parts)
    out.parent.mkdir(parents=True, exist_ok=True)
    ids, weights, branches = columns[:, 0], columns[:, 1].astype(np.uint8), columns[:, 2].astype(np.int16)
    np.savez(out, ids=ids, weights=weights, branches=branches, lengths=np.array(lengths))
    print(f"{out}: {len(lengths)} families, {len(ids)} tokens, learned {(weights > 0).mean():.0%}")


def main() -> None:
    """Write what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("families", type=int)
    parser.add_argument("seed", type=int)
    parser.add_argument("--review", action="store_true")
    options = parser.parse_args()
    write_corpus(options.out, options.families, options.seed, is_review=options.review)


if __name__ == "__main__":
    main()
