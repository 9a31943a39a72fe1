"""What a model is told that has called a tool which it was not offered, such as GPT-OSS's own browser.

A client has no answer to such a call, and never sees it; the model is told so in the tool's name, and goes on.
Source: openai/harmony docs/format.md, "Receiving tool calls".
"""

from jupyter_mlx_gpt_oss.harmony.encoding import CHANNEL, END, MESSAGE, START, encode


def refusal(name: str) -> list[int]:
    """Return the tokens that follow the call: the tool's message, and `<|start|>assistant`.

    Args:
        name: of the tool, as the model wrote it.
    """
    text = f"Error: there is no tool {name}. Go on without it."
    message = [
        START,
        *encode(f"{name} to=assistant"),
        CHANNEL,
        *encode("analysis"),
        MESSAGE,
        *encode(text),
        END,
    ]
    return [*message, START, *encode("assistant")]
