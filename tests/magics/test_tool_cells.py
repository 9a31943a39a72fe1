"""A real shell, the real client and a real HTTP server: cells in which the model calls tools."""

import asyncio
import re
import sys
from io import StringIO

import pytest

from jupyter_mlx_gpt_oss import tool
from jupyter_mlx_gpt_oss.errors import MagicUsageError
from tests.magics.conftest import Notebook, ask
from tests.support.canned_server import (
    CannedServer,
    Script,
    answer,
    calls_weather,
    delta,
    ending,
    tool_delta,
)


@tool
def get_weather(city: str) -> str:
    """Say the weather in a city."""
    sys.stdout.write(f"looking at {city}\n")
    return f"sunny in {city}"


def test_a_tool_is_called_and_the_model_sees_its_result(
    notebook: Notebook, server: CannedServer, capsys: pytest.CaptureFixture[str]
) -> None:
    notebook.user_ns["get_weather"] = get_weather
    server.play([delta(reasoning="Look."), *calls_weather()], answer("It is sunny."))

    assert notebook.run("%%oss\nWhat is the weather in Kyoto?") is None

    assert [entry["function"]["name"] for entry in server.requests[0]["tools"]] == ["get_weather"]
    assert server.requests[1]["messages"][-1] == {
        "role": "tool",
        "tool_call_id": "call_1",
        "name": "get_weather",
        "content": "sunny in Kyoto",
    }
    assert "get_weather(city=&quot;Kyoto&quot;)" in notebook.outputs.html
    assert "→ sunny in Kyoto" in notebook.outputs.html
    assert capsys.readouterr().out == "looking at Kyoto\n"
    value = notebook.user_ns["_"]
    assert value.text == "It is sunny."
    assert value.tool_calls == (
        {
            "name": "get_weather",
            "arguments": '{"city": "Kyoto"}',
            "result": "sunny in Kyoto",
            "is_error": False,
        },
    )


def test_the_call_is_shown_before_the_tool_runs(notebook: Notebook, server: CannedServer) -> None:
    seen = []

    def peek(city: str) -> str:
        seen.append(notebook.outputs.text)
        return city

    notebook.user_ns["get_weather"] = peek
    server.play(calls_weather(), answer("Done."))

    notebook.run("%%oss -t get_weather\nWeather?")

    assert seen == ['[tool] get_weather(city="Kyoto")']


def test_an_async_tool_is_awaited(notebook: Notebook, server: CannedServer) -> None:
    async def weather(city: str) -> str:
        await asyncio.sleep(0)
        return f"rain in {city}"

    notebook.user_ns["get_weather"] = weather
    server.play(calls_weather(), answer("Rain."))

    assert notebook.run("%%oss -t get_weather\nWeather?") is None

    assert server.requests[1]["messages"][-1]["content"] == "rain in Kyoto"


def test_a_tool_that_fails_is_a_result_for_the_model_and_shown(
    notebook: Notebook, server: CannedServer
) -> None:
    def weather(city: str) -> str:
        raise LookupError(f"no {city}")

    notebook.user_ns["get_weather"] = weather
    server.play(calls_weather(), answer("Sorry."))

    assert notebook.run("%%oss -t get_weather\nWeather?") is None

    assert server.requests[1]["messages"][-1]["content"] == "LookupError: no Kyoto"
    assert "<b>error</b> LookupError: no Kyoto" in notebook.outputs.html


def test_a_tool_that_nobody_offered_is_an_error_for_the_model(
    notebook: Notebook, server: CannedServer
) -> None:
    server.play(calls_weather(), answer("Sorry."))

    assert notebook.run("%%oss\nWeather?") is None

    assert "There is no tool named 'get_weather'" in server.requests[1]["messages"][-1]["content"]


def test_rounds_are_limited(notebook: Notebook, server: CannedServer) -> None:
    notebook.user_ns["get_weather"] = get_weather
    server.play(calls_weather(), calls_weather(), answer("Hi"))

    assert notebook.run("%%oss --max-turns 2\nWeather?", "a") is None

    assert len(server.requests) == 2
    assert "stopped after 2 rounds (--max-turns)" in notebook.outputs.text
    assert notebook.user_ns["_"].tool_calls[1]["is_error"]
    notebook.run("%%oss\nGo on", "b")
    roles = [message["role"] for message in server.requests[2]["messages"]]
    assert roles == ["user", "assistant", "tool", "assistant", "tool", "user"]


def test_a_call_that_is_cut_off_is_not_made(notebook: Notebook, server: CannedServer) -> None:
    notebook.user_ns["get_weather"] = get_weather
    server.play([tool_delta("get_weather", '{"city": "Ky'), ending("length")])

    assert notebook.run("%%oss\nWeather?") is None

    assert "Not called" in notebook.user_ns["_"].messages[-1]["content"]
    assert "cut off at its length limit" in notebook.outputs.text


@tool(confirm=True)
def delete(path: str) -> str:
    """Delete a file."""
    return f"{path} is gone"


def deletes(arguments: str = '{"path": "a.txt"}') -> Script:
    return [tool_delta("delete", arguments), ending("tool_calls")]


@pytest.mark.parametrize("line", ["%%oss", "%%oss -t delete"])
def test_a_tool_that_is_to_be_confirmed_is_called_after_a_yes(
    notebook: Notebook, server: CannedServer, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    notebook.user_ns["delete"] = delete
    asked = ask(notebook, monkeypatch, "y")
    server.play(deletes(), answer("Done."))

    assert notebook.run(f"{line}\nDelete it.") is None

    assert asked.seen == [('Call delete(path="a.txt")? [y/N] ', '[tool] delete(path="a.txt")')]
    assert server.requests[0]["tools"][0]["function"]["description"] == "Delete a file."
    assert server.requests[1]["messages"][-1]["content"] == "a.txt is gone"


def test_without_a_yes_the_tool_is_not_called_and_the_model_is_told(
    notebook: Notebook, server: CannedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    notebook.user_ns |= {"delete": delete, "get_weather": get_weather}
    ask(notebook, monkeypatch, "")
    weather = tool_delta("get_weather", '{"city": "Kyoto"}', index=1, call_id="call_2")
    server.play([deletes()[0], weather, ending("tool_calls")], deletes('{"path": 1}'), answer("As you like."))

    assert notebook.run("%%oss\nDelete it.") is None

    refused, called = server.requests[1]["messages"][-2:]
    assert refused["content"] == "Not called: the user said no."
    assert called["content"] == "sunny in Kyoto"
    assert "<b>error</b> Not called" in notebook.outputs.html
    assert "Invalid arguments" in server.requests[2]["messages"][-1]["content"]


def test_long_arguments_are_read_above_the_question(
    notebook: Notebook, server: CannedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    notebook.user_ns["delete"] = delete
    asked = ask(notebook, monkeypatch, "n")
    path = "x" * 900 + "/etc/passwd"
    server.play(deletes(f'{{"path": "{path}"}}'), answer("As you like."))

    notebook.run("%%oss\nDelete it.")

    ((question, page),) = asked.seen
    assert question == "Call delete? [y/N] "
    assert path in page
    assert path in notebook.outputs.html


@pytest.mark.parametrize("mark", ["\u202e", r"\u202e"], ids=["as it is", "as JSON spells it"])
@pytest.mark.parametrize("rest", ["", "x" * 150], ids=["a line", "a table"])
def test_what_is_to_be_allowed_is_read_as_it_is_run(
    notebook: Notebook, server: CannedServer, monkeypatch: pytest.MonkeyPatch, mark: str, rest: str
) -> None:
    notebook.user_ns["delete"] = delete
    asked = ask(notebook, monkeypatch, "n")
    server.play(deletes(f'{{"path": "/home/{mark}gpj.evil{rest}"}}'), answer("As you like."))

    notebook.run("%%oss\nDelete it.")

    ((question, page),) = asked.seen
    assert "\u202e" not in question
    for seen in (page, notebook.outputs.html):
        assert "\u202e" not in seen
        assert "/home/\ufffdgpj.evil" in seen


def test_a_tool_that_nobody_can_confirm_fails_in_one_line(
    notebook: Notebook,
    server: CannedServer,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    notebook.user_ns["delete"] = delete
    monkeypatch.setattr("sys.stdin", StringIO(""))
    server.play(deletes())

    assert isinstance(notebook.run("%%oss\nDelete it."), MagicUsageError)

    last_line = capsys.readouterr().out.strip().rpartition("\n")[2]
    assert last_line.endswith(
        "MagicUsageError: delete: nobody can be asked here. Without confirm=True, @tool calls it without asking."
    )


def test_the_question_has_no_control_characters(
    notebook: Notebook, server: CannedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    notebook.user_ns["delete"] = delete
    asked = ask(notebook, monkeypatch, "n")
    server.play(deletes('{"path": "a\x9b2Kb"}'), answer("As you like."))

    notebook.run("%%oss\nDelete it.")

    assert asked.seen[0][0] == 'Call delete(path="a�2Kb")? [y/N] '


def test_a_tool_that_was_deleted_is_not_offered(notebook: Notebook, server: CannedServer) -> None:
    server.play(answer("Hi"))
    notebook.user_ns["get_weather"] = get_weather
    notebook.run("get_weather")
    notebook.run("del get_weather")

    notebook.run("%%oss\nHi")

    assert "tools" not in server.requests[0]


def test_where_a_tool_failed_is_kept_for_tb(
    notebook: Notebook, server: CannedServer, capsys: pytest.CaptureFixture[str]
) -> None:
    notebook.run("def inner():\n    return {}['name']\ndef lookup():\n    return inner()")
    server.play([tool_delta("lookup", "{}"), *ending("tool_calls")], answer("I do not know."))

    notebook.run("%%oss -t lookup\nWho is it?")

    assert server.requests[1]["messages"][-1]["content"] == "KeyError: 'name'"
    assert "%tb shows where" in notebook.outputs.text
    notebook.run("%tb")
    assert "in inner()" in re.sub(r"\x1b\[[\d;]*m", "", capsys.readouterr().out)
