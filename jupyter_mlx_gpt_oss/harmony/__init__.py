"""Messages to tokens and tokens to events, in OpenAI's Harmony format. No I/O, no HTTP, no MLX.

Source: openai/harmony docs/format.md.
"""

from jupyter_mlx_gpt_oss.harmony.completion import parse_completion
from jupyter_mlx_gpt_oss.harmony.encoding import STOP_TOKEN_IDS
from jupyter_mlx_gpt_oss.harmony.events import (
    Event,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    ToolCallStarted,
    TurnEnded,
)
from jupyter_mlx_gpt_oss.harmony.parser import HarmonyParser
from jupyter_mlx_gpt_oss.harmony.render import Prompt, render_chat, render_prompt

__all__ = [
    "STOP_TOKEN_IDS",
    "Event",
    "HarmonyParser",
    "Prompt",
    "ReasoningDelta",
    "TextDelta",
    "ToolCallDelta",
    "ToolCallStarted",
    "TurnEnded",
    "parse_completion",
    "render_chat",
    "render_prompt",
]
