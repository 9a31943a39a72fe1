"""The official openai client against a real `jupyter server` with the embedded model."""

import asyncio
import json
import urllib.request
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from pydantic import BaseModel

from tests.support.jupyter_process import TOKEN, JupyterProcess, jupyter_process

# The client's transport leaves a socket to the garbage collector now and then; pytest would count that as ours.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

WEATHER_TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}


@pytest.fixture(scope="module", params=["/", "/user/ada/"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[JupyterProcess]:
    home = tmp_path_factory.mktemp("home")
    with jupyter_process(home, "server", f"--ServerApp.base_url={request.param}", "--port=0") as server:
        yield server


@pytest.fixture
def client(server: JupyterProcess) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=server.openai_url, api_key=TOKEN, max_retries=0, timeout=120) as client:
        yield client


def _messages(text: str) -> Any:
    return [{"role": "user", "content": text}]


def _create(client: openai.OpenAI) -> Any:
    """The client's own method, which takes the plain JSON that its types do not."""
    return client.chat.completions.create


def test_the_model_is_listed_and_says_that_it_is_a_demo(client: openai.OpenAI) -> None:
    [model] = client.models.list().data
    assert model.id == "demo"
    assert model.to_dict()["demo"] is True
    assert client.models.retrieve("demo").id == "demo"


def test_a_question_is_answered_with_reasoning_and_usage(client: openai.OpenAI) -> None:
    completion = _create(client)(
        model="gpt-oss-20b",
        messages=_messages("My name is Ada."),
        temperature=0,
    )
    [choice] = completion.choices
    assert choice.finish_reason == "stop"
    assert "Ada" in (choice.message.content or "")
    assert choice.message.to_dict()["reasoning"]
    assert completion.model == "demo"
    assert completion.usage is not None
    assert (
        completion.usage.total_tokens == completion.usage.prompt_tokens + completion.usage.completion_tokens
    )


def test_the_stream_adds_up_to_the_whole_answer(client: openai.OpenAI) -> None:
    arguments = {"model": "demo", "messages": _messages("Tell me a story."), "temperature": 0}
    whole = _create(client)(**arguments)
    content, reasoning, usage = "", "", None
    num_chunks = 0
    with _create(client)(
        **arguments,
        stream=True,
        stream_options={"include_usage": True},
    ) as stream:
        for chunk in stream:
            num_chunks += 1
            usage = chunk.usage or usage
            for choice in chunk.choices:
                content += choice.delta.content or ""
                reasoning += choice.delta.to_dict().get("reasoning") or ""
    assert content == whole.choices[0].message.content
    assert reasoning == whole.choices[0].message.to_dict()["reasoning"]
    assert usage is not None
    assert usage.completion_tokens == whole.usage.completion_tokens
    assert num_chunks > 50


def test_a_tool_is_called_and_its_result_is_used(client: openai.OpenAI) -> None:
    messages = _messages("What is the weather in Kyoto?")
    first = _create(client)(
        model="demo",
        messages=messages,
        tools=[WEATHER_TOOL],
        temperature=0,
    )
    [choice] = first.choices
    assert choice.finish_reason == "tool_calls"
    [call] = choice.message.tool_calls
    assert (call.function.name, json.loads(call.function.arguments)) == ("get_weather", {"city": "Kyoto"})
    result = {
        "role": "tool",
        "tool_call_id": call.id,
        "content": json.dumps({"temperature": 21, "sky": "sunny"}),
    }
    second = _create(client)(
        model="demo",
        messages=[*messages, choice.message.to_dict(), result],
        tools=[WEATHER_TOOL],
        temperature=0,
    )
    assert "21" in (second.choices[0].message.content or "")
    assert second.usage is not None
    assert second.usage.prompt_tokens_details is not None
    assert (second.usage.prompt_tokens_details.cached_tokens or 0) > 0


class WeatherArguments(BaseModel):
    city: str


def test_the_demo_model_reads_the_schemas_that_pydantic_writes(client: openai.OpenAI) -> None:
    # They have titles, which stand as comments above the parameters; agent frameworks send such schemas.
    function = {"name": "get_weather", "parameters": WeatherArguments.model_json_schema()}
    reply = _create(client)(
        model="demo",
        messages=_messages("What is the weather in Kyoto?"),
        tools=[{"type": "function", "function": function}],
        temperature=0,
    )
    [call] = reply.choices[0].message.tool_calls
    assert json.loads(call.function.arguments) == {"city": "Kyoto"}


def test_the_async_client_streams_several_answers_at_once(server: JupyterProcess) -> None:
    async def answer(client: openai.AsyncOpenAI, text: str) -> str:
        stream = await client.chat.completions.create(
            model="demo",
            messages=_messages(text),
            stream=True,
            temperature=0,
        )
        async with stream:
            return "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])

    async def main() -> list[str]:
        async with openai.AsyncOpenAI(base_url=server.openai_url, api_key=TOKEN, timeout=120) as client:
            texts = ("Tell me a story.", "Count to 10.", "Write hello world in Python.")
            return list(await asyncio.gather(*(answer(client, text) for text in texts)))

    story, count, code = asyncio.run(main())
    assert "robot" in story
    assert "8 9 10" in count
    assert "print" in code


def test_errors_are_openais(server: JupyterProcess, client: openai.OpenAI) -> None:
    stranger = openai.OpenAI(base_url=server.openai_url, api_key="wrong", max_retries=0)
    with stranger, pytest.raises(openai.AuthenticationError, match="Incorrect API key"):
        stranger.models.list()
    with pytest.raises(openai.BadRequestError) as error:
        _create(client)(model="demo", messages=_messages("Hi"), temperature=7)
    assert error.value.param == "temperature"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("no-such-model")


def test_the_scoped_key_opens_gpt_oss_and_nothing_else(server: JupyterProcess) -> None:
    [file] = server.home.rglob("api_key")
    key = file.read_text().strip()
    assert file.stat().st_mode & 0o077 == 0
    with openai.OpenAI(base_url=server.openai_url, api_key=key) as keyed:
        assert keyed.models.list().data
    request = urllib.request.Request(f"{server.url}api/status", headers={"Authorization": f"Bearer {key}"})
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(request)
    assert error.value.code in {401, 403}


def test_a_killed_engine_is_replaced_in_the_middle_of_an_answer(
    server: JupyterProcess, client: openai.OpenAI
) -> None:
    arguments = {"model": "demo", "messages": _messages("Tell me a story."), "temperature": 0}
    whole = _create(client)(**arguments).choices[0].message.content
    content = ""
    with _create(client)(**arguments, stream=True) as stream:
        for chunk in stream:
            if not content and chunk.choices[0].delta.content:
                server.workers()[0].kill()
            content += chunk.choices[0].delta.content or ""
    assert content == whole


def test_responses_continue_and_stream(client: openai.OpenAI) -> None:
    first = client.responses.create(model="demo", input="My name is Ada.", temperature=0)
    assert "Ada" in first.output_text
    assert [item.type for item in first.output] == ["reasoning", "message"]
    second = client.responses.create(
        model="demo", input="What is my name?", previous_response_id=first.id, temperature=0
    )
    assert "Ada" in second.output_text
    with client.responses.stream(model="demo", input="Count to 5.") as stream:
        kinds = [event.type for event in stream]
        assert "1 2 3 4 5" in stream.get_final_response().output_text
    assert kinds[0] == "response.created"
    assert kinds[-1] == "response.completed"
