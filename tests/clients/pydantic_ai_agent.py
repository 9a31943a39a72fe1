"""Pydantic AI: a tool over both APIs, a stream, and output of a type."""

import asyncio

from pydantic import BaseModel
from pydantic_ai import Agent, NativeOutput
from pydantic_ai.models import Model
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel

QUESTION = "How is the weather in Kyoto?"
ANSWER = "The tool says: Rain in Kyoto"


class City(BaseModel):
    """A city, by its name."""

    name: str


def get_weather(city: str) -> str:
    """Tell the weather of a city."""
    return f"Rain in {city}"


async def check(model: Model) -> None:
    agent = Agent(model, instructions="Be brief.", tools=[get_weather])
    assert (await agent.run(QUESTION)).output == ANSWER
    async with agent.run_stream(QUESTION) as run:
        pieces = [piece async for piece in run.stream_text(delta=True, debounce_by=None)]
    assert len(pieces) > 1
    assert "".join(pieces) == ANSWER
    for output_type in (City, NativeOutput(City)):  # by a tool that must be called; by a schema
        typed = Agent(model, output_type=output_type)
        assert (await typed.run("Which city is Kyoto?")).output == City(name="Kyoto")


async def main() -> None:
    await check(OpenAIChatModel("demo"))
    await check(OpenAIResponsesModel("demo"))


asyncio.run(main())
