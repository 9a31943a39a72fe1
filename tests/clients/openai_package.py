"""OpenAI's own client: plain and asynchronous, the streaming helpers, and `parse` with pydantic, over both APIs."""

import asyncio
from typing import Any

from openai import AsyncOpenAI, OpenAI, pydantic_function_tool
from pydantic import BaseModel

QUESTION: Any = {"role": "user", "content": "Which city is Kyoto?"}
MESSAGES: Any = [QUESTION]
RESULT = "The tool says: a city"


class City(BaseModel):
    """A city, by its name."""

    name: str


def check_chat(client: OpenAI) -> None:
    """A tool's call is parsed, its result is told as it comes, and an answer keeps to a type."""
    tools = [pydantic_function_tool(City, name="look_up")]
    with client.chat.completions.stream(model="demo", messages=MESSAGES, tools=tools) as stream:
        kinds = {event.type for event in stream}
        message = stream.get_final_completion().choices[0].message
    assert {"tool_calls.function.arguments.delta", "tool_calls.function.arguments.done"} <= kinds
    call = (message.tool_calls or [])[0]
    assert call.function.parsed_arguments == City(name="Kyoto")
    result = {"role": "tool", "tool_call_id": call.id, "content": "a city"}
    conversation: Any = [QUESTION, message.to_dict(), result]
    with client.chat.completions.stream(model="demo", messages=conversation, tools=tools) as stream:
        pieces = [event.delta for event in stream if event.type == "content.delta"]
    assert len(pieces) > 1
    assert "".join(pieces) == RESULT
    parsed = client.chat.completions.parse(model="demo", messages=MESSAGES, response_format=City)
    assert parsed.choices[0].message.parsed == City(name="Kyoto")


def check_responses(client: OpenAI) -> None:
    """The same over the Responses API, whose second question goes on from the first answer."""
    tools: Any = [
        {"type": "function", "name": "look_up", "parameters": City.model_json_schema(), "strict": False}
    ]
    with client.responses.stream(model="demo", input="Which city is Kyoto?", tools=tools) as stream:
        kinds = {event.type for event in stream}
        response = stream.get_final_response()
    assert {"response.reasoning_text.delta", "response.function_call_arguments.done"} <= kinds
    call = response.output[-1]
    assert call.type == "function_call"
    result: Any = {"type": "function_call_output", "call_id": call.call_id, "output": "a city"}
    with client.responses.stream(
        model="demo", input=[result], tools=tools, previous_response_id=response.id
    ) as stream:
        pieces = [event.delta for event in stream if event.type == "response.output_text.delta"]
    assert len(pieces) > 1
    assert "".join(pieces) == RESULT
    parsed = client.responses.parse(model="demo", input="Which city is Kyoto?", text_format=City)
    assert parsed.output_parsed == City(name="Kyoto")


async def check_async(client: AsyncOpenAI) -> None:
    """Two answers at a time, and a stream."""
    texts = ("Hello there", "And you")
    answers = await asyncio.gather(
        *(
            client.chat.completions.create(model="demo", messages=[{"role": "user", "content": text}])
            for text in texts
        )
    )
    assert [answer.choices[0].message.content for answer in answers] == [
        f"You said: {text}" for text in texts
    ]
    stream = await client.chat.completions.create(
        model="demo", messages=MESSAGES, stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices).startswith(
        "You said"
    )
    assert chunks[-1].usage is not None


with OpenAI() as openai:
    check_chat(openai)
    check_responses(openai)
asyncio.run(check_async(AsyncOpenAI()))
