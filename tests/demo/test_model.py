"""The unfolded model as mlx-lm sees it: it loads, and it speaks Harmony."""

from pathlib import Path
from typing import Any, NamedTuple

import pytest
from mlx_lm import generate, load

WEATHER_TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Return the weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}


class Loaded(NamedTuple):
    model: Any
    tokenizer: Any

    def complete(self, messages: list[dict[str, Any]], tools: list[dict[str, Any]] | None = None) -> str:
        prompt = self.tokenizer.apply_chat_template(
            messages,
            tools=tools,
            add_generation_prompt=True,
            reasoning_effort="low",
            current_date="2026-01-31",
        )
        text: str = generate(self.model, self.tokenizer, prompt, max_tokens=60)
        return text


@pytest.fixture(scope="module")
def loaded(checkpoint: Path) -> Loaded:
    model, tokenizer, *_ = load(str(checkpoint))
    return Loaded(model, tokenizer)


def test_a_greeting_is_answered_on_the_final_channel(loaded: Loaded) -> None:
    text = loaded.complete([{"role": "user", "content": "Hello"}])

    assert text.startswith("<|channel|>analysis<|message|>")
    assert text.endswith("<|channel|>final<|message|>Hello! How can I help you today?")


def test_a_tool_is_called_with_its_name_and_argument_copied(loaded: Loaded) -> None:
    text = loaded.complete([{"role": "user", "content": "What is the weather in Paris?"}], [WEATHER_TOOL])

    assert 'commentary to=functions.get_weather <|constrain|>json<|message|>{"city":"Paris"}' in text


def test_a_tool_result_is_used_in_the_answer(loaded: Loaded) -> None:
    call = {"id": "call_1", "function": {"name": "get_weather", "arguments": '{"city":"Paris"}'}}
    messages: list[dict[str, Any]] = [
        {"role": "user", "content": "What is the weather in Paris?"},
        {"role": "assistant", "reasoning": "Use get_weather for Paris.", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": '{"temperature": 18, "condition": "sunny"}'},
    ]

    text = loaded.complete(messages, [WEATHER_TOOL])

    assert "sunny" in text
    assert "18" in text
