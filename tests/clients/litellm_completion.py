"""LiteLLM: a tool's call and its result, a stream, the Responses API, and the asynchronous twin."""

import asyncio
import json
import os
from typing import Any

import litellm

MODEL: dict[str, Any] = {"model": "openai/demo", "api_base": os.environ["OPENAI_BASE_URL"]}
QUESTION = {"role": "user", "content": "How is the weather in Kyoto?"}
ANSWER = "The tool says: Rain in Kyoto"
PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": PARAMETERS}}


def main() -> None:
    message = litellm.completion(**MODEL, messages=[QUESTION], tools=[TOOL]).choices[0].message
    (call,) = message.tool_calls
    assert json.loads(call.function.arguments) == {"city": "Kyoto"}
    assert message.reasoning_content
    result = {"role": "tool", "tool_call_id": call.id, "content": "Rain in Kyoto"}
    conversation = {"messages": [QUESTION, message.model_dump(), result], "tools": [TOOL]}
    assert litellm.completion(**MODEL, **conversation).choices[0].message.content == ANSWER
    chunks = [*litellm.completion(**MODEL, **conversation, stream=True)]
    pieces = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert len(pieces) > 1
    assert "".join(pieces) == ANSWER
    response = litellm.responses(**MODEL, input="Hello there")
    assert response.output[-1].content[0].text == "You said: Hello there"
    later = asyncio.run(litellm.acompletion(**MODEL, messages=[{"role": "user", "content": "Hello"}]))
    assert later.choices[0].message.content == "You said: Hello"


main()
