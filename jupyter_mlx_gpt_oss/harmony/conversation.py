"""Checked messages to the parts of a prompt, in Harmony's order.

Knows no JSON and no token ids but the control tokens. Source: openai/harmony docs/format.md; docs/harmony.md.
"""

from collections.abc import Callable, Sequence

from jupyter_mlx_gpt_oss.harmony.encoding import CALL, CHANNEL, CONSTRAIN, END, MESSAGE, START
from jupyter_mlx_gpt_oss.harmony.messages import (
    AssistantMessage,
    Instructions,
    Message,
    ToolResult,
    UserMessage,
)
from jupyter_mlx_gpt_oss.harmony.prompt_parts import Part
from jupyter_mlx_gpt_oss.harmony.python_tool import arguments_to_code

AsSampled = Callable[[int, AssistantMessage], Sequence[int]]
"""Gives the tokens of an assistant message, by its index, as the model sampled them, from `<|start|>assistant` on; or
none, and it is rendered anew."""


def conversation_parts(
    conversation: Sequence[Message], sections: list[str], as_sampled: AsSampled, built_in: frozenset[str]
) -> list[Part]:
    """Render the messages; the leading instructions become one developer message, together with the sections.

    A call of a tool that is `built_in`, and its result, stand as the model was trained on them.
    """
    first = next(
        (i for i, m in enumerate(conversation) if not isinstance(m, Instructions)), len(conversation)
    )
    leading = "\n\n".join(m.text for m in conversation[:first] if isinstance(m, Instructions) and m.text)
    finals = [i for i, m in enumerate(conversation) if isinstance(m, AssistantMessage) and m.is_final]
    last_final = max(finals, default=-1)
    parts = _developer(leading, sections)
    for index, message in enumerate(conversation[first:], first):
        match message:
            case Instructions(text):
                parts += _developer(text, [])
            case UserMessage(text):
                parts += message_parts("user", text)
            case ToolResult(name, text) if name in built_in:
                parts += message_parts(f"{name} to=assistant", text, channel="analysis")
            case ToolResult(name, text):
                parts += message_parts(f"functions.{name} to=assistant", text, channel="commentary")
            case AssistantMessage() if index > last_final:
                parts += as_sampled(index, message) or _assistant(message, built_in, drops_analysis=False)
            case AssistantMessage():
                parts += _assistant(message, built_in, drops_analysis=True)
    return parts


def message_parts(author: str, text: str, *, channel: str | None = None) -> list[Part]:
    """Render one message."""
    header: list[Part] = [CHANNEL, channel] if channel else []
    return [START, author, *header, MESSAGE, text, END]


def opened_parts(continued: AssistantMessage | None, reasoning_effort: str, *, may_call: bool) -> list[Part]:
    """Return what stands behind the prompt's last `<|start|>assistant`.

    Args:
        continued: the last message, whose answer the model goes on with.
        reasoning_effort: none opens the answer after an empty analysis.
        may_call: whether the answer may be a call.
    """
    final: list[Part] = [CHANNEL, "final", MESSAGE]
    if continued:
        return [*final, continued.content]
    if reasoning_effort != "none":
        return []
    no_analysis: list[Part] = [CHANNEL, "analysis", MESSAGE, END, START, "assistant"]
    return no_analysis if may_call else [*no_analysis, *final]  # a final message cannot call


def _developer(instructions: str, sections: list[str]) -> list[Part]:
    texts = [f"# Instructions\n\n{instructions}", *sections] if instructions else sections
    return message_parts("developer", "\n\n".join(texts)) if texts else []


def _assistant(message: AssistantMessage, built_in: frozenset[str], *, drops_analysis: bool) -> list[Part]:
    """Render analysis, preamble or answer, and calls, in the order in which the model samples them.

    A call names its channel first, as the model does; openai-harmony's order, recipient first, makes it call tools on
    the analysis channel (vLLM pull request 28139).
    """
    parts: list[Part] = []
    if message.reasoning and not drops_analysis:
        parts += message_parts("assistant", message.reasoning, channel="analysis")
    if message.content:
        channel = "final" if message.is_final else "commentary"
        parts += message_parts("assistant", message.content, channel=channel)
    for call in message.calls:
        header: list[Part] = [f"commentary to=functions.{call.name} ", CONSTRAIN, "json"]
        body = call.arguments
        if call.name in built_in:
            header, body = [f"analysis to={call.name} code"], arguments_to_code(call.arguments)
        parts += [START, "assistant", CHANNEL, *header, MESSAGE, body, CALL]
    return parts
