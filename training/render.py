"""Render conversations to token ids, each with its weight in the loss, as the server renders prompts.

Calls stand channel first, as the model samples them. Analysis of earlier turns is dropped.
"""

from collections.abc import Iterator
from functools import cache

from openai_harmony import (
    Message,
    ReasoningEffort,
    Role,
    SystemContent,
    ToolNamespaceConfig,
)

from jupyter_mlx_gpt_oss.harmony.tools import read_tools, render_tools
from training.conversation import Conversation, Effort, Step, Tool
from training.words import Draw, encode, encoding

START = "<|start|>assistant"
_EMPTY_ANALYSIS = "<|channel|>analysis<|message|><|end|>" + START
FINAL_HEADER = "<|channel|>final<|message|>"
_FORMS = {  # what stands before and after the text of a step
    "analysis": ("<|channel|>analysis<|message|>", "<|end|>"),
    "preamble": ("<|channel|>commentary<|message|>", "<|end|>"),
    "final": ("<|channel|>final<|message|>", "<|return|>"),
    "call": ("<|channel|>commentary to=functions.{tool} <|constrain|>json<|message|>", "<|call|>"),
    "result": ("<|start|>functions.{tool} to=assistant<|channel|>commentary<|message|>", "<|end|>"),
    "python_call": ("<|channel|>analysis to=python code<|message|>", "<|call|>"),
    "python_result": ("<|start|>python to=assistant<|channel|>analysis<|message|>", "<|end|>"),
}
_EFFORTS = {"low": ReasoningEffort.LOW, "medium": ReasoningEffort.MEDIUM, "high": ReasoningEffort.HIGH}
# Steps in which the model decides; a final answer mostly copies them.
_DECIDING = {"analysis", "call", "python_call"}
_DECIDING_WEIGHT = 3
_COMMENTARY = "\nCalls to these tools must go to the commentary channel: 'functions'."


def _rendered(message: Message) -> str:
    """Return the body of a rendered message."""
    text: str = encoding().decode(encoding().render(message))
    return text.split("<|message|>", 1)[1].removesuffix("<|end|>")


@cache
def _system_template(effort: Effort, has_python: bool) -> str:
    content = SystemContent.new().with_reasoning_effort(_EFFORTS[effort]).with_conversation_start_date("DATE")
    if has_python:
        content = content.with_tools(ToolNamespaceConfig.python())
    return _rendered(Message.from_role_and_content(Role.SYSTEM, content))


def _tools_section(tools: tuple[Tool, ...]) -> str:
    """Return the declarations as the server writes them."""
    functions = [
        {"name": tool.name, "description": tool.description, "parameters": tool.parameters} for tool in tools
    ]
    return render_tools(read_tools([{"type": "function", "function": function} for function in functions]))


def opening(conversation: Conversation) -> str:
    """Return what the server puts after `<|start|>assistant` when no reasoning is wanted."""
    if conversation.effort != "none":
        return ""
    return _EMPTY_ANALYSIS if conversation.tools else _EMPTY_ANALYSIS + FINAL_HEADER


def learned_steps(conversation: Conversation) -> list[Step]:
    """Return the steps of the last turn; without reasoning where none is wanted."""
    is_silent = conversation.effort == "none"
    return [step for step in conversation.turns[-1].steps if not (is_silent and step.kind == "analysis")]


def _prologue(draw: Draw, conversation: Conversation) -> str:
    effort: Effort = "low" if conversation.effort == "none" else conversation.effort
    system = _system_template(effort, conversation.has_python)
    date = (
        f"20{draw.random.randint(24, 29)}-{draw.random.randint(1, 12):02d}-{draw.random.randint(1, 28):02d}"
    )
    system = system.replace("DATE", date) if draw.chance(0.95) else system.replace("\nCurrent date: DATE", "")
    if conversation.tools:
        system += _COMMENTARY
    sections = []
    if conversation.instructions is not None:
        sections.append(f"# Instructions\n\n{conversation.instructions}")
    if conversation.tools:
        sections.append(_tools_section(conversation.tools))
    if conversation.response_format is not None:
        response_format = conversation.response_format
        described = f"// {response_format.description}\n" if response_format.description else ""
        sections.append(
            f"# Response Formats\n\n## {response_format.name}\n\n{described}{response_format.schema}"
        )
    text = f"<|start|>system<|message|>{system}<|end|>"
    if sections:
        text += "<|start|>developer<|message|>" + "\n\n".join(sections) + "<|end|>"
    return text


def step_text(step: Step) -> str:
    """Return a step without the `<|start|>assistant` before it, or the whole message of a tool."""
    before, after = _FORMS[step.kind]
    return before.format(tool=step.tool) + step.text + after


def is_from_tool(step: Step) -> bool:
    """Tell whether a tool, not the model, wrote `step`."""
    return step.kind in {"result", "python_result"}


def _turn_parts(conversation: Conversation) -> Iterator[tuple[str, int]]:
    """Yield the texts of the prompt after the prologue, each with its weight: 0 for what is not learned.

    What the assistant wrote in earlier turns is learned too, its headers are not: they stand there without analysis.
    """
    for turn in conversation.turns[:-1]:
        yield f"<|start|>user<|message|>{turn.user}<|end|>", 0
        for step in turn.steps:
            if is_from_tool(step):
                yield step_text(step), 0
            elif step.kind != "analysis":
                before, after = _FORMS[step.kind]
                yield START + before.format(tool=step.tool), 0
                yield step.text, 1
                yield after.replace("<|return|>", "<|end|>"), 0
    yield f"<|start|>user<|message|>{conversation.turns[-1].user}<|end|>{START}", 0


def prompt_text(draw: Draw, conversation: Conversation) -> str:
    """Return the prompt of the last turn, up to `<|start|>assistant`."""
    return _prologue(draw, conversation) + "".join(text for text, _ in _turn_parts(conversation))


def _completion_parts(conversation: Conversation) -> Iterator[tuple[str, int]]:
    opened = opening(conversation)
    yield opened, 0
    steps = learned_steps(conversation)
    for step, previous in zip(steps, (None, *steps), strict=False):
        if is_from_tool(step):
            yield step_text(step), 0
            continue
        if previous is not None:
            yield (START + opened, 0) if is_from_tool(previous) else (START, 1)
        text = step_text(step).removeprefix(FINAL_HEADER if opened.endswith(FINAL_HEADER) else "")
        _, end = _FORMS[step.kind]
        yield text.removesuffix(end), _DECIDING_WEIGHT if step.kind in _DECIDING else 1
        yield end, _DECIDING_WEIGHT  # that a count or a text is over is decided too


def render_family(
    draw: Draw, family: list[Conversation], max_branch_tokens: int
) -> list[tuple[int, int, int]]:
    """Return the tokens of conversations that have one prologue: id, weight in the loss, and branch.

    The prologue is branch 0 and stands first. Conversations of more than `max_branch_tokens` are left out; if none
    remains, nothing is returned.
    """
    tokens = [(token_id, 0, 0) for token_id in encode(_prologue(draw, family[0]))]
    branch = 0
    for conversation in family:
        parts = [*_turn_parts(conversation), *_completion_parts(conversation)]
        encoded = [(token_id, weight) for text, weight in parts for token_id in encode(text)]
        if len(encoded) <= max_branch_tokens:
            branch += 1
            tokens += [(token_id, weight, branch) for token_id, weight in encoded]
    return tokens if branch else []
