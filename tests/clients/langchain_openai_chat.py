"""LangChain's ChatOpenAI: a tool's call and its result over both APIs, a stream, and output that keeps to a schema."""

import os
from typing import Any

from langchain_core.messages import HumanMessage, ToolMessage
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

QUESTION = HumanMessage("How is the weather in Kyoto?")
ANSWER = "The tool says: Rain in Kyoto"


class City(BaseModel):
    """A city, by its name."""

    name: str


def get_weather(city: str) -> str:
    """Tell the weather of a city."""
    return f"Rain in {city}"


def check(model: ChatOpenAI) -> None:
    """Call the tool, send its result, and read the answer whole and as it comes."""
    able = model.bind_tools([get_weather])
    message = able.invoke([QUESTION])
    (call,) = message.tool_calls
    result = ToolMessage(get_weather(**call["args"]), tool_call_id=call["id"])
    conversation = [QUESTION, message, result]
    assert able.invoke(conversation).text == ANSWER
    pieces = [chunk.text for chunk in able.stream(conversation)]
    assert len([piece for piece in pieces if piece]) > 1
    assert "".join(pieces) == ANSWER
    whole: Any = None
    for chunk in able.stream([QUESTION]):
        whole = chunk if whole is None else whole + chunk
    assert whole is not None
    assert whole.tool_calls[0]["args"] == {"city": "Kyoto"}
    assert model.with_structured_output(City).invoke("Which city is Kyoto?") == City(name="Kyoto")


for is_responses in (False, True):
    url = os.environ["OPENAI_BASE_URL"]
    check(ChatOpenAI(model="demo", base_url=url, use_responses_api=is_responses))
