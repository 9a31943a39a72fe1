"""OpenAI's Agents SDK: a tool's call and its result over both APIs, whole and streamed."""

import asyncio

from agents import (
    Agent,
    OpenAIChatCompletionsModel,
    OpenAIResponsesModel,
    Runner,
    Tool,
    function_tool,
    set_tracing_disabled,
)
from openai import AsyncOpenAI

QUESTION = "How is the weather in Kyoto?"
ANSWER = "The tool says: Rain in Kyoto"


def get_weather(city: str) -> str:
    """Tell the weather of a city."""
    return f"Rain in {city}"


async def check(agent: Agent) -> None:
    """Ask twice; the second answer as it comes."""
    assert (await Runner.run(agent, QUESTION)).final_output == ANSWER
    run = Runner.run_streamed(agent, QUESTION)
    deltas = [
        event.data.delta
        async for event in run.stream_events()
        if event.type == "raw_response_event" and event.data.type == "response.output_text.delta"
    ]
    assert len(deltas) > 1
    assert "".join(deltas) == run.final_output == ANSWER


async def main() -> None:
    set_tracing_disabled(disabled=True)
    client = AsyncOpenAI()
    for model in (OpenAIResponsesModel("demo", client), OpenAIChatCompletionsModel("demo", client)):
        tools: list[Tool] = [function_tool(get_weather)]
        await check(Agent(name="Weather", instructions="Be brief.", model=model, tools=tools))


asyncio.run(main())
