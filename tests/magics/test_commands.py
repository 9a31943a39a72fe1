import json

import pytest

from jupyter_mlx_gpt_oss import tool
from jupyter_mlx_gpt_oss.errors import MagicUsageError, ServerNotFoundError, ServerResponseError
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
    assert "<table " in notebook.outputs.html


def test_status_does_not_write_the_key_into_the_notebook(notebook: Notebook) -> None:
    notebook.run("%oss status")

    assert KEY not in notebook.outputs.text + notebook.outputs.html


def test_status_key_shows_the_whole_key(notebook: Notebook) -> None:
    assert notebook.run("%oss status key") is None

    assert KEY in notebook.outputs.text
    assert "Clear this output" in notebook.outputs.text
    assert isinstance(notebook.run("%oss status keys"), MagicUsageError)


def test_status_says_how_far_loading_is(notebook: Notebook, server: CannedServer) -> None:
    progress = {"stage": "downloading", "done": 3_000_000_000, "total": 12_000_000_000}
    server.health.append({"state": "loading", "progress": progress, "engine_restarts": 1})

    notebook.run("%oss status")

    assert "downloading the model: 3,000 of 12,000 MB" in notebook.outputs.text
    assert "1 of the engine" in notebook.outputs.text
    assert server.url.removesuffix("v1") in notebook.outputs.text


def test_model_says_how_far_loading_is(notebook: Notebook, server: CannedServer) -> None:
    progress = {"stage": "loading", "done": 6_000_000_000, "total": 12_000_000_000}
    server.health += [{"state": "loading", "progress": progress}] * 2 + [{"state": "failed", "error": "No."}]

    notebook.run("%oss model big")

    (line,) = notebook.outputs.bundles.values()
    assert line["text/plain"] == "big: loading the model: 6,000 of 12,000 MB"


def test_status_says_what_the_engine_does(notebook: Notebook, server: CannedServer) -> None:
    server.card |= {"quantization": "mxfp4 experts"}
    server.health.append({
        "tokens_per_second": 41.26,
        "memory_bytes": 12_300_000_000,
        "prefix_cache_bytes": 900_000_000,
        "uptime_seconds": 3725.2,
    })  # fmt: skip

    notebook.run("%oss status")

    text = notebook.outputs.text
    assert "41.3 tokens/s" in text
    assert "12.3 GB, 0.9 GB of it for earlier prompts" in text
    assert "1:02:05" in text
    assert "mxfp4 experts" in text


def test_model_returns_when_the_model_is_loaded(notebook: Notebook, server: CannedServer) -> None:
    server.health += [{"state": "loading"}, {"state": "ready"}]

    assert notebook.run("%oss model mlx-community/gpt-oss-20b-MXFP4-Q8") is None

    assert server.loaded == ["mlx-community/gpt-oss-20b-MXFP4-Q8"]
    first, last = notebook.outputs.bundles.values()
    assert first["text/plain"] == "mlx-community/gpt-oss-20b-MXFP4-Q8 is loaded"
    assert "ready" in last["text/plain"]


def test_a_model_that_cannot_be_loaded_is_one_line(
    notebook: Notebook, server: CannedServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.health.append({"state": "failed", "error": "No such model."})

    assert isinstance(notebook.run("%oss model nonsense"), ServerResponseError)

    assert capsys.readouterr().out == "ServerResponseError: No such model.\n"


def test_unload(notebook: Notebook, server: CannedServer) -> None:
    assert notebook.run("%oss unload") is None

    assert server.loaded == [None]
    assert "unloaded" in notebook.outputs.text


CODE_ANSWER = """Try this:

```python
import math
```

1. and then

   ```py
   print(math.pi)
   ```

```bash
rm -rf /
```

```
done = True
```
"""


def test_code_goes_into_one_new_cell(notebook: Notebook, server: CannedServer) -> None:
    server.play(answer(CODE_ANSWER))
    notebook.run("%%oss\nPi?")
    notebook.run("1 + 1")

    assert notebook.run("%oss code") is None

    assert notebook.rl_next_input == "import math\n\nprint(math.pi)\n\ndone = True"


def test_without_code_there_is_no_new_cell(notebook: Notebook, server: CannedServer) -> None:
    assert isinstance(notebook.run("%oss code"), MagicUsageError)
    server.play(answer("Three or so."))
    notebook.run("%%oss\nPi?")

    assert isinstance(notebook.run("%oss code"), MagicUsageError)


def test_fix_sends_the_last_cell_that_failed(notebook: Notebook, server: CannedServer) -> None:
    server.play(answer("Zero."), answer("As I said."))
    notebook.run("n = {'x': 0}\n1 / n['x']  # {n}")
    notebook.run("2 + 2")

    assert notebook.run("%oss fix -e low", "a") is None

    request = server.requests[0]
    message = request["messages"][-1]["content"]
    assert "```python\nn = {'x': 0}\n1 / n['x']  # {n}\n```" in message
    assert "ZeroDivisionError: division by zero" in message
    assert "\x1b" not in message
    assert request["reasoning_effort"] == "low"
    notebook.run("%%oss -t nobody\nHi")
    assert notebook.run("%oss fix", "b") is None
    assert "1 / n['x']" in server.requests[1]["messages"][-1]["content"]


def test_fix_keeps_a_cell_with_fences_in_one_block(notebook: Notebook, server: CannedServer) -> None:
    server.play(answer("Zero."))
    notebook.run("text = '```'\n1 / 0")

    notebook.run("%oss fix")

    assert "````python\ntext = '```'\n1 / 0\n````" in server.requests[0]["messages"][-1]["content"]


def test_fix_needs_a_cell_that_failed(notebook: Notebook) -> None:
    assert isinstance(notebook.run("%oss fix"), MagicUsageError)


@pytest.mark.parametrize("rest", [f" {KEY}", f"/lab/tree/a.ipynb?token={KEY}"])
def test_connect_names_a_server(
    notebook: Notebook, server: CannedServer, monkeypatch: pytest.MonkeyPatch, rest: str
) -> None:
    monkeypatch.delenv("JUPYTER_MLX_GPT_OSS_URL")
    server.play(answer("Hi"))

    assert notebook.run(f"%oss connect {server.url.removesuffix('/gpt-oss/v1')}{rest}") is None
    assert f'base_url="{server.url}"' in notebook.outputs.text
    assert notebook.run("%%oss\nHi") is None


def test_of_several_models_a_gpt_oss_is_asked_and_another_can_be_chosen(
    notebook: Notebook, server: CannedServer
) -> None:
    server.card, server.other_cards = {"id": "nomic-embed"}, [{"id": "gpt-oss:20b"}, {"id": "llama"}]
    server.play(answer("One."), answer("Two."))

    notebook.run("%%oss\nHi")
    error = notebook.run("%oss model gpt-4")
    assert notebook.run("%oss model llama") is None
    notebook.run("%%oss\nHi again")

    assert [request["model"] for request in server.requests] == ["gpt-oss:20b", "llama"]
    assert isinstance(error, MagicUsageError)
    assert "nomic-embed, gpt-oss:20b, llama" in str(error)


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
        'assistant  [tool] get_weather(city="Kyoto")',
        "tool       sunny in Kyoto",
        "assistant  Sunny.",
    ]

    notebook.run("%oss reset trip")
    notebook.outputs.clear()
    notebook.run("%oss chats")
    assert notebook.outputs.text == "no chats"


def test_history_shows_code_as_code_and_lines_as_lines(notebook: Notebook, server: CannedServer) -> None:
    code = "for n in range(2):\n    print(n)"
    server.play(
        [tool_delta("python", json.dumps({"code": code})), ending("tool_calls")],
        answer("Two:\n\n1. zero\n2. one"),
    )
    notebook.run("%%oss --python auto\nCount\nto two.")

    notebook.outputs.clear()
    notebook.run("%oss history")

    assert notebook.outputs.text.splitlines() == [
        "user       Count",
        "           to two.",
        "assistant  [python]",
        "           for n in range(2):",
        "               print(n)",
        "tool       0",
        "           1",
        "assistant  Two:",
        "",
        "           1. zero",
        "           2. one",
    ]
    html = notebook.outputs.html
    assert "\\n" not in html
    assert ">for</span>" in html
    assert "Count<br>to two." in html
    assert "0\n1</pre>" in html


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


@pytest.mark.parametrize(
    "line", ["sing", "model", "unload now", "reset a b", "connect", "history nobody", "status now"]
)
def test_what_is_no_command_is_said_in_one_line(notebook: Notebook, line: str) -> None:
    assert isinstance(notebook.run(f"%oss {line}"), MagicUsageError)
