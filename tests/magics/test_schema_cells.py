"""A real shell, the real client and a real HTTP server: cells with `--schema`."""

import re
from dataclasses import dataclass
from html import unescape
from typing import Any

import pydantic
import pytest
from typing_extensions import override

from jupyter_mlx_gpt_oss.errors import MagicUsageError
from tests.magics.conftest import Notebook
from tests.support.canned_server import CannedServer, answer


class Person(pydantic.BaseModel):
    """Somebody."""

    name: str = pydantic.Field(description="as they call themselves")
    born: int


@dataclass
class Point:
    x: int
    y: int


JSON_SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}


def run(notebook: Notebook, server: CannedServer, value: object, text: str) -> Any:
    notebook.user_ns["Wanted"] = value
    server.play(answer(text))
    assert notebook.run("%%oss --schema Wanted -o reply\nGo.") is None
    return notebook.user_ns["reply"]


def test_a_pydantic_model_is_asked_for_and_comes_back(notebook: Notebook, server: CannedServer) -> None:
    reply = run(notebook, server, Person, '{"name": "Ada", "born": 1815}')

    assert reply.parsed == Person(name="Ada", born=1815)
    assert server.requests[0]["response_format"] == {
        "type": "json_schema",
        "json_schema": {
            "name": "Wanted",
            "schema": {
                "type": "object",
                "title": "Person",
                "description": "Somebody.",
                "properties": {
                    "name": {"type": "string", "description": "as they call themselves"},
                    "born": {"type": "integer"},
                },
                "required": ["name", "born"],
            },
        },
    }


@pytest.mark.parametrize(
    ("value", "text", "parsed"),
    [
        (list[Person], '[{"name": "Ada", "born": 1815}]', [Person(name="Ada", born=1815)]),
        (Point, '{"x": 1, "y": 2}', Point(1, 2)),
        (int, "7", 7),
        (JSON_SCHEMA, '{"city": "Kyoto"}', {"city": "Kyoto"}),
    ],
)
def test_a_type_or_a_json_schema_will_do(
    notebook: Notebook, server: CannedServer, value: object, text: str, parsed: object
) -> None:
    assert run(notebook, server, value, text).parsed == parsed


def test_a_json_schema_is_sent_as_it_is(notebook: Notebook, server: CannedServer) -> None:
    run(notebook, server, JSON_SCHEMA, "{}")

    assert server.requests[0]["response_format"]["json_schema"]["schema"] == JSON_SCHEMA


@pytest.mark.parametrize(
    ("value", "text", "fault"),
    [
        (Person, '{"name": "Ada"}', "The answer does not fit Wanted: born: Field required"),
        (Person, "Ada, of course", "The answer does not fit Wanted: all: Invalid JSON"),
        (JSON_SCHEMA, "Kyoto", "The answer does not fit Wanted: it is no JSON"),
    ],
)
def test_an_answer_that_does_not_fit_keeps_its_text_and_says_why(
    notebook: Notebook, server: CannedServer, value: object, text: str, fault: str
) -> None:
    reply = run(notebook, server, value, text)

    assert (reply.text, reply.parsed) == (text, None)
    assert notebook.outputs.text.splitlines()[-1].startswith(fault)


class Unwilling(pydantic.BaseModel):
    name: str

    @override
    def model_post_init(self, context: Any) -> None:
        raise KeyError(self.name)


def test_what_a_validator_raises_is_said_in_one_line(notebook: Notebook, server: CannedServer) -> None:
    reply = run(notebook, server, Unwilling, '{"name": "Ada"}')

    assert (reply.text, reply.parsed) == ('{"name": "Ada"}', None)
    assert notebook.outputs.text.endswith("The answer does not fit Wanted: KeyError: 'Ada'")


@pytest.mark.parametrize("value", [5, "Person", object(), {"name": str}])
def test_what_is_no_schema_is_said_in_one_line(
    notebook: Notebook, server: CannedServer, value: object
) -> None:
    notebook.user_ns["Wanted"] = value

    assert isinstance(notebook.run("%%oss --schema Wanted\nGo."), MagicUsageError)
    assert isinstance(notebook.run("%%oss --schema Nobody\nGo."), MagicUsageError)
    assert server.requests == []


def test_without_a_schema_nothing_is_parsed(notebook: Notebook, server: CannedServer) -> None:
    server.play(answer("{}"))

    notebook.run("%%oss\nGo.")

    assert notebook.user_ns["_"].parsed is None
    assert "response_format" not in server.requests[0]


def test_an_answer_in_json_is_shown_as_it_stands(notebook: Notebook, server: CannedServer) -> None:
    text = '{"pattern": "a*b*c",\n "file": "__init__.py", "price": "$5 and $6"}'
    run(notebook, server, {"type": "object", "title": "Rule"}, text)

    html = notebook.outputs.html
    assert "<em>" not in html
    assert "<strong>" not in html
    assert text in unescape(re.sub(r"<[^>]*>", "", html))
