"""The checkpoint's chat template writes the prompts that this package's own renderer writes."""

from pathlib import Path
from typing import Any

import pytest
from mlx_lm.tokenizer_utils import load

from jupyter_mlx_gpt_oss.harmony import render_chat

TOOLS: list[dict[str, Any]] = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "Return the weather of a city.",
            "parameters": {
                "type": "object",
                "properties": {
                    "city": {"type": "string", "description": "The city"},
                    "days": {"type": "integer"},
                    "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
                },
                "required": ["city", "days"],
            },
        },
    },
    {"type": "function", "function": {"name": "get_time", "description": "Return the time."}},
]
CALL = {
    "id": "call_1",
    "type": "function",
    "function": {"name": "get_weather", "arguments": '{"city":"Kyoto","days":2}'},
}
WEATHER: list[dict[str, Any]] = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "What is the weather in Kyoto?"},
    {"role": "assistant", "content": "I will look.", "reasoning": "Use the tool.", "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "call_1", "content": '{"sky": "clear"}'},
]
CONVERSATIONS = {
    "greeting": ([{"role": "user", "content": "Hi"}], None),
    "tools declared": (WEATHER[:2], TOOLS),
    "inside a tool loop": (WEATHER, TOOLS),
    "after a final answer": (
        [*WEATHER, {"role": "assistant", "content": "Clear.", "reasoning": "Done."}, {"role": "user", "content": "Thanks"}],
        TOOLS,
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def tokenizer(checkpoint: Path) -> Any:
    return load(checkpoint)


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_the_template_agrees_with_our_renderer(tokenizer: Any, name: str) -> None:
    messages, tools = CONVERSATIONS[name]

    token_ids = tokenizer.apply_chat_template(
        messages, tools=tools, add_generation_prompt=True, reasoning_effort="high", current_date="2026-01-31"
    )

    expected = render_chat(messages, tools or (), reasoning_effort="high", current_date="2026-01-31")
    assert tokenizer.decode(expected) == tokenizer.decode(token_ids)
    assert expected == token_ids
