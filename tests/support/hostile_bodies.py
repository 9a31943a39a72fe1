"""Good requests with every field set that takes text or a number: what a hostile request is made from.

Each is answered with 200 as it stands.
"""

from collections.abc import Mapping
from typing import Any

from tests.support.hostile_values import MARK

Json = dict[str, Any]

_PARAMETERS: Json = {
    "type": "object",
    "title": "A place",
    "description": "Where\nand when",
    "$defs": {"unit": {"enum": ["celsius", "fahrenheit", None]}},
    "properties": {
        "city": {"type": "string", "description": "A city", "title": "City", "default": "Oslo", "examples": ["Rome"]},
        "unit": {"$ref": "#/$defs/unit"},
        "days": {"type": ["array", "null"], "items": {"type": "integer", "minimum": 0}, "maxItems": 3},
        "kind": {"const": "order"},
        "where": {"anyOf": [{"type": "string", "pattern": "^[a-z]+$"}, {"type": "null"}]},
        "more": {"allOf": [{"type": "object", "properties": {"a": {"type": "number"}}}]},
    },
    "required": ["city"],
    "additionalProperties": False,
}  # fmt: skip
_FUNCTION: Json = {"name": "find", "description": "Find\nit", "parameters": _PARAMETERS}
_LOOSE: Json = {
    "name": "look",
    "description": None,
    "parameters": {"additionalProperties": {"type": "string"}},
}
_TOOLS: list[Json] = [
    {"type": "function", "function": {**_FUNCTION, "strict": True}},
    {"type": "function", "function": _LOOSE},
    {"type": "function", "function": {"name": "now"}},
]
_SCHEMA: Json = {"name": "answer", "description": "An answer", "strict": True, "schema": _PARAMETERS}
_CALL: Json = {
    "id": "call_1",
    "type": "function",
    "function": {"name": "find", "arguments": '{"city": "Oslo"}'},
}
_MESSAGES: list[Json] = [
    {"role": "system", "content": "Be brief."},
    {"role": "developer", "content": [{"type": "text", "text": "Be kind."}]},
    {"role": "user", "content": [{"type": "text", "text": "Hi, "}, {"type": "text", "text": "you"}], "name": "ann"},
    {"role": "assistant", "content": "Hello.", "reasoning": "They greet me."},
    {"role": "user", "content": "Where is Oslo?"},
    {"role": "assistant", "content": "I look.", "reasoning_content": "I should look.", "tool_calls": [_CALL]},
    {"role": "tool", "tool_call_id": "call_1", "content": "In Norway"},
    {"role": "system", "content": "Go on."},
]  # fmt: skip
_SAMPLING: Json = {
    "temperature": 0.7,
    "top_p": 0.9,
    "min_p": 0.05,
    "top_k": 40,
    "seed": 7,
    "presence_penalty": 0.5,
    "frequency_penalty": 0.5,
    "repetition_penalty": 1.1,
    "repetition_context_size": 20,
    "logit_bias": {"17": 1.5},
    "stop": ["###", "stop here"],
    "n": 1,
    "stream": False,
    "stream_options": {"include_usage": True},
}
_CHAT = "gpt-oss/v1/chat/completions"
_RESPONSES = "gpt-oss/v1/responses"
_ITEMS: list[Json] = [
    {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "Be kind."}]},
    {"role": "user", "content": "Where is Oslo?"},
    {
        "type": "reasoning",
        "id": "rs_1",
        "summary": [{"type": "summary_text", "text": "Looks"}],
        "content": [{"type": "reasoning_text", "text": "I should look."}],
    },
    {
        "type": "function_call",
        "id": "fc_1",
        "call_id": "call_1",
        "name": "find",
        "arguments": '{"city": "Oslo"}',
    },
    {"type": "function_call_output", "call_id": "call_1", "output": "In Norway"},
    {
        "type": "message",
        "role": "assistant",
        "id": "msg_1",
        "content": [{"type": "output_text", "text": "Norway."}],
    },
    {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Thanks"}]},
]
_FLAT_TOOLS: list[Json] = [
    {"type": "function", **_FUNCTION, "strict": True},
    {"type": "function", **_LOOSE},
    {"type": "web_search"},
]

BODIES: Mapping[str, tuple[str, Json]] = {
    "a tool loop": (_CHAT, {"model": "any", "messages": _MESSAGES, "tools": _TOOLS, "tool_choice": "auto"}),
    "a named function": (
        _CHAT,
        {
            "model": "any",
            "messages": _MESSAGES[:5],
            "tools": [*_TOOLS, {"type": "python"}],
            "tool_choice": {"type": "function", "function": {"name": "find"}},
            "parallel_tool_calls": True,
            "reasoning_effort": "low",
        },
    ),
    "allowed tools": (
        _CHAT,
        {
            "model": "any",
            "messages": _MESSAGES[:3],
            "tools": _TOOLS,
            "tool_choice": {
                "type": "allowed_tools",
                "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": {"name": "now"}}]},
            },
            "chat_template_kwargs": {"reasoning_effort": "high"},
        },
    ),
    "sampling": (
        _CHAT,
        {
            "model": "any",
            "messages": _MESSAGES[:3],
            **_SAMPLING,
            "max_tokens": 30,
            "max_completion_tokens": 30,
            "logprobs": True,
            "top_logprobs": 2,
            "user": "ann",
            "metadata": {"a": "b"},
            "reasoning": {"effort": "low", "exclude": False, "enabled": True, "summary": "auto", "max_tokens": 10},
            "include_reasoning": True,
        },
    ),
    "a stream of JSON": (
        _CHAT,
        {
            "model": "any",
            "messages": [*_MESSAGES[:2], {"role": "user", "content": "A city?"}, {"role": "assistant", "content": '{"'}],
            "response_format": {"type": "json_schema", "json_schema": _SCHEMA},
            "stream": True,
        },
    ),
    "legacy functions": (
        _CHAT,
        {
            "model": "any",
            "messages": [
                {"role": "user", "content": "Where is Oslo?"},
                {"role": "assistant", "content": None, "function_call": {"name": "look", "arguments": "{}"}},
                {"role": "function", "name": "look", "content": "In Norway"},
            ],
            "functions": [_LOOSE],
            "function_call": {"name": "look"},
            "response_format": {"type": "text"},
        },
    ),
    "a response": (
        _RESPONSES,
        {
            "model": "any",
            "input": _ITEMS,
            "instructions": "Be brief.",
            "tools": _FLAT_TOOLS,
            "tool_choice": {"type": "function", "name": "find"},
            "parallel_tool_calls": False,
            "reasoning": {"effort": "low", "summary": "auto"},
            "max_output_tokens": 40,
            "temperature": 0.7,
            "top_p": 0.9,
            "top_logprobs": 1,
            "include": ["message.output_text.logprobs"],
            "truncation": "auto",
            "metadata": {"a": "b"},
            "store": False,
            "user": "ann",
        },
    ),
    "a stream of a response": (
        _RESPONSES,
        {
            "model": "any",
            "input": "A city?",
            "text": {"format": {"type": "json_schema", **_SCHEMA}, "verbosity": "low"},
            "stream": True,
            "stream_options": {"include_obfuscation": False},
        },
    ),
    "a response to be kept": (
        _RESPONSES,
        {"model": "any", "input": [{"role": "user", "content": f"Say {MARK}"}], "instructions": MARK, "store": True},
    ),
    "a completion": (
        "gpt-oss/v1/completions",
        {
            "model": "any",
            "prompt": "Once upon a time",
            **_SAMPLING,
            "max_tokens": 8,
            "best_of": 1,
            "echo": True,
            "stop_token_ids": [13],
            "ignore_eos": False,
            "skip_special_tokens": False,
            "return_token_ids": True,
            "structured_outputs": {"json": _PARAMETERS},
            "user": "ann",
        },
    ),
    "two completions": (
        "gpt-oss/v1/completions",
        {
            "model": "any",
            "prompt": ["Once", "Twice"],
            "logprobs": 2,
            "response_format": {"type": "json_schema", "json_schema": _SCHEMA},
            "stream": True,
        },
    ),
    "tokens of text": ("gpt-oss/v1/tokenize", {"model": "any", "prompt": "Once upon", "return_token_strs": True}),
    "tokens of messages": (
        "gpt-oss/v1/tokenize",
        {
            "model": "any",
            "messages": _MESSAGES,
            "functions": [_FUNCTION, _LOOSE],
            "function_call": "auto",
            "response_format": {"type": "json_object"},
            "reasoning_effort": "high",
            "add_generation_prompt": False,
        },
    ),
    "text of tokens": ("gpt-oss/v1/detokenize", {"model": "any", "tokens": [13225, 200007, 1, 2, 3]}),
    "a model": ("gpt-oss/v1/load", {"model": "demo"}),
}  # fmt: skip
