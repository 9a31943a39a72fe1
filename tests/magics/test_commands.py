import pytest

from jupyter_mlx_gpt_oss import tool
from jupyter_mlx_gpt_oss.errors import MagicUsageError, ServerNotFoundError
from tests.magics.conftest import Notebook
from tests.support.canned_server import KEY, CannedServer, answer, ending, tool_delta


@tool
def get_weather(city: str) -> str:
    """Say the weather in a city."""
    return f"sunny in {city}"


@pytest.mark.parametrize("line", ["%oss", "%oss status"])
def test_status(notebook: Notebook, server: CannedServer, line: str) -> None:
    assert notebook.run(line) is None

    text = notebook.outputs.text
    assert server.url in text
    assert "canned. 4,096 tokens of context" in text
    assert "ready" in text
    assert "1 running, 2 waiting" in text
    assert 'os.environ["JUPYTER_MLX_GPT_OSS_KEY"]' in text
    assert "<table>" in notebook.outputs.html


def test_status_does_not_write_the_key_into_the_notebook(notebook: Notebook) -> None:
    notebook.run("%oss status")

    assert KEY not in notebook.outputs.text + notebook.outputs.html


def test_connect_names_a_server(
    notebook: Notebook, server: CannedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("JUPYTER_MLX_GPT_OSS_URL")
    server.play(answer("Hi"))

    assert notebook.run(f"%oss connect {server.url.removesuffix('/gpt-oss/v1')} {KEY}") is None
    assert f'base_url="{server.url}"' in notebook.outputs.text
    assert notebook.run("%%oss\nHi") is None


def test_connect_to_nobody_changes_nothing(notebook: Notebook, server: CannedServer) -> None:
    server.play(answer("Hi"))

    assert isinstance(notebook.run(f"%oss connect {server.url} wrong"), ServerNotFoundError)
    assert notebook.run("%%oss\nHi") is None


def test_chats_history_and_reset(notebook: Notebook, server: CannedServer) -> None:
    notebook.user_ns["get_weather"] = get_weather
    server.play([tool_delta("get_weather", '{"city": "Kyoto"}'), ending("tool_calls")], answer("Sunny."))
    notebook.run("%%oss -c trip\nWeather in Kyoto?")

    notebook.outputs.clear()
    notebook.run("%oss chats")
    assert notebook.outputs.text == "trip  4 messages"

    notebook.outputs.clear()
    notebook.run("%oss history trip")
    assert notebook.outputs.text.splitlines() == [
        "user       Weather in Kyoto?",
        'assistant  get_weather {"city": "Kyoto"}',
        "tool       sunny in Kyoto",
        "assistant  Sunny.",
    ]

    notebook.run("%oss reset trip")
    notebook.outputs.clear()
    notebook.run("%oss chats")
    assert notebook.outputs.text == "no chats"


def test_history_and_reset_before_the_first_cell(notebook: Notebook) -> None:
    assert notebook.run("%oss history") is None
    assert "no messages" in notebook.outputs.text
    assert notebook.run("%oss reset") is None


def test_tools(notebook: Notebook) -> None:
    notebook.run("%oss tools")
    assert "no tools" in notebook.outputs.text

    notebook.user_ns["get_weather"] = get_weather
    notebook.outputs.clear()
    notebook.run("%oss tools")
    assert notebook.outputs.text == "get_weather  Say the weather in a city."


@pytest.mark.parametrize("line", ["sing", "reset a b", "connect", "history nobody", "status now"])
def test_what_is_no_command_is_said_in_one_line(notebook: Notebook, line: str) -> None:
    assert isinstance(notebook.run(f"%oss {line}"), MagicUsageError)
