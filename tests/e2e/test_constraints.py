"""What a request demands of the form of its answer is kept, whatever the model would say."""

import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import openai
import pytest

from tests.support.jupyter_process import TOKEN, JupyterProcess, jupyter_process

PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 12},
        "age": {"type": "integer", "minimum": 0, "maximum": 150},
        "tags": {"type": "array", "items": {"enum": ["a", "b"]}, "maxItems": 3},
    },
    "required": ["name", "age", "tags"],
    "additionalProperties": False,
}


def _tool(name: str, *, strict: bool = False) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, "parameters": PERSON, "strict": strict}}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JupyterProcess]:
    with jupyter_process(tmp_path_factory.mktemp("home"), "server", "--port=0") as server:
        yield server


@pytest.fixture(scope="module")
def create(server: JupyterProcess) -> Iterator[Any]:
    with openai.OpenAI(base_url=server.openai_url, api_key=TOKEN, max_retries=0, timeout=120) as client:
        yield client.chat.completions.create


def _ask(create: Any, seed: int, **fields: Any) -> Any:
    """An answer at a temperature at which the demo says anything; the form must hold all the same."""
    messages = [{"role": "user", "content": "Tell me a story."}]
    return create(
        model="demo", messages=messages, temperature=1.5, seed=seed, max_tokens=600, **fields
    ).choices[0]


@pytest.mark.parametrize("seed", range(5))
def test_an_answer_keeps_to_a_json_schema(create: Any, seed: int) -> None:
    schema = {"name": "person", "strict": True, "schema": PERSON}
    choice = _ask(create, seed, response_format={"type": "json_schema", "json_schema": schema})
    if choice.finish_reason == "stop":
        jsonschema.validate(json.loads(choice.message.content), PERSON)
    else:
        assert choice.finish_reason == "length"


@pytest.mark.parametrize("seed", range(5))
def test_a_named_strict_function_is_called_with_arguments_of_its_schema(create: Any, seed: int) -> None:
    named = {"type": "function", "function": {"name": "second"}}
    tools = [_tool("first"), _tool("second", strict=True)]
    choice = _ask(create, seed, tools=tools, tool_choice=named)
    if choice.finish_reason == "tool_calls":
        [call] = choice.message.tool_calls
        assert call.function.name == "second"
        jsonschema.validate(json.loads(call.function.arguments), PERSON)
    else:
        assert choice.finish_reason == "length"


def test_a_function_that_is_not_to_be_called_is_not_called(create: Any) -> None:
    assert not _ask(create, 1, tools=[_tool("first")], tool_choice="none").message.tool_calls


@pytest.mark.parametrize("is_stream", [False, True])
def test_a_schema_that_cannot_be_kept_to_is_refused_by_its_keyword(create: Any, is_stream: bool) -> None:
    schema = {"name": "person", "strict": True, "schema": {"not": {}}}
    with pytest.raises(openai.BadRequestError, match="not") as error:
        _ask(create, 1, stream=is_stream, response_format={"type": "json_schema", "json_schema": schema})
    assert error.value.param == "response_format.json_schema.schema"
