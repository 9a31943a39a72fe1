"""A real shell, the real client and a real HTTP server: cells in which the model runs Python."""

import json
import signal
import sys
import threading
from io import StringIO

import pytest

from jupyter_mlx_gpt_oss.errors import CellInterruptedError, MagicUsageError
from jupyter_mlx_gpt_oss.magics.python_tool import MAX_OUTPUT_CHARS
from tests.magics.conftest import Notebook, ask
from tests.support.canned_server import CannedServer, Script, answer, delta, ending, tool_delta


def runs(code: str) -> Script:
    arguments = json.dumps({"code": code})
    pieces = [arguments[at : at + 3] for at in range(0, len(arguments), 3)]
    return [delta(reasoning="Run it."), tool_delta("python", *pieces), ending("tool_calls")]


def result_of(notebook: Notebook, server: CannedServer, code: str) -> str:
    """What the model reads when `code` has run."""
    server.play(runs(code), answer("Done."))
    assert notebook.run("%%oss --new --python auto\nGo.") is None
    message = server.requests[-1]["messages"][-1]
    assert message["role"] == "tool"
    text: str = message["content"]
    return text


def test_the_tool_is_offered_as_gpt_osss_own(notebook: Notebook, server: CannedServer) -> None:
    server.play(answer("Hi"), answer("Hi"), answer("Hi"))

    notebook.run("%%oss --python auto\nHi")
    notebook.run("%%oss --python off\nHi")
    notebook.run("%%oss\nHi")

    assert [request.get("tools") for request in server.requests] == [[{"type": "python"}], None, None]


def test_code_runs_in_the_notebook_and_its_output_goes_back(
    notebook: Notebook, server: CannedServer, capsys: pytest.CaptureFixture[str]
) -> None:
    notebook.user_ns["prices"] = [2, 3]

    text = result_of(notebook, server, "total = sum(prices)\nprint('total', total)\ntotal * 2")

    assert notebook.user_ns["total"] == 5
    assert text.startswith("total 5\n")
    assert text.endswith("10")
    shown = capsys.readouterr().out
    assert shown.count("total 5") == 1
    assert shown.count("10") == 1
    assert notebook.user_ns["_"].text == "Done."
    call = server.requests[-1]["messages"][1]["tool_calls"][0]["function"]
    assert call["name"] == "python"
    assert json.loads(call["arguments"])["code"].startswith("total = sum")


def test_the_code_is_shown_highlighted_and_its_output_once(notebook: Notebook, server: CannedServer) -> None:
    result_of(notebook, server, "for n in range(3):\n    print(n)")

    html, text = notebook.outputs.html, notebook.outputs.text
    assert ">for</span>" in html
    assert "→" not in html
    assert "[python]\nfor n in range(3):\n    print(n)" in text
    assert "[result of python]" not in text


def test_what_is_displayed_is_shown_and_named(notebook: Notebook, server: CannedServer) -> None:
    bundle = {"text/html": "<b>hi</b>", "text/plain": "hi"}
    code = f"publish = get_ipython().display_pub.publish\npublish({bundle})\nprint('there')"

    assert result_of(notebook, server, code) == "hi\nthere"
    assert bundle in notebook.outputs.bundles.values()


def test_code_without_output_says_so(notebook: Notebook, server: CannedServer) -> None:
    assert result_of(notebook, server, "x = 1") == "(no output)"
    assert "→ (no output)" in notebook.outputs.html


def test_an_exception_is_a_result_with_a_short_traceback(
    notebook: Notebook, server: CannedServer, capsys: pytest.CaptureFixture[str]
) -> None:
    text = result_of(notebook, server, "print('before')\n[][1] # <b>")

    assert text.splitlines() == [
        "before",
        "Traceback (most recent call last):",
        '  File "<cell>", line 2, in <module>',
        "    [][1] # <b>",
        "IndexError: list index out of range",
    ]
    assert "IndexError: list index out of range</pre>" in notebook.outputs.html
    assert "<b>" not in notebook.outputs.html
    assert "IndexError" not in capsys.readouterr().out.replace(notebook.outputs.text, "")
    assert notebook.user_ns["_"].tool_calls[0]["is_error"]


@pytest.mark.parametrize("code", ["x = = 1", "'open", "raise SystemExit"])
@pytest.mark.filterwarnings("ignore:To exit:UserWarning")
def test_code_that_cannot_run_is_a_result(notebook: Notebook, server: CannedServer, code: str) -> None:
    assert result_of(notebook, server, code).rpartition("\n")[2].startswith(("SyntaxError", "SystemExit"))


def test_what_the_code_leaves_behind_is_what_a_cell_leaves(notebook: Notebook, server: CannedServer) -> None:
    before = (sys.stdout, sys.stderr, dict(vars(notebook)), vars(notebook.display_pub).copy())

    result_of(notebook, server, "1 / 0")
    result_of(notebook, server, "%whos_ls = 1")

    assert (sys.stdout, sys.stderr) == before[:2]
    assert "_showtraceback" not in vars(notebook)
    assert "publish" not in vars(notebook.display_pub)
    assert "write_format_data" not in vars(notebook.displayhook)


def test_magics_and_await_work_as_in_a_cell(notebook: Notebook, server: CannedServer) -> None:
    assert result_of(notebook, server, "%time x = 7\nx").endswith("7")
    assert result_of(notebook, server, "import asyncio\nprint(await asyncio.sleep(0, 'slept'))") == "slept"


def test_a_long_output_is_bounded_for_the_model(notebook: Notebook, server: CannedServer) -> None:
    text = result_of(notebook, server, "for n in range(100_000): print(n)")

    assert text.startswith("0\n1\n")
    assert text.endswith("99999")
    assert len(text) < MAX_OUTPUT_CHARS + 100


def test_arguments_that_are_no_code_are_an_error_for_the_model(
    notebook: Notebook, server: CannedServer
) -> None:
    server.play([tool_delta("python", '{"x": 1}'), ending("tool_calls")], answer("Sorry."))

    assert notebook.run("%%oss --python auto\nGo.") is None

    assert server.requests[-1]["messages"][-1]["content"].startswith("Invalid arguments")


def test_ctrl_c_stops_the_code_and_the_cell(
    notebook: Notebook, server: CannedServer, capsys: pytest.CaptureFixture[str]
) -> None:
    main_thread = threading.main_thread().ident
    assert main_thread is not None
    notebook.user_ns["interrupt"] = lambda: signal.pthread_kill(main_thread, signal.SIGINT)
    server.play(runs("print('begun')\ninterrupt()\nwhile True: pass"))

    error = notebook.run("%%oss --python auto\nGo.")

    assert isinstance(error, CellInterruptedError)
    shown = capsys.readouterr().out
    assert shown.startswith("begun\n")
    assert shown.count("\n") == 2
    assert "interrupted" in notebook.outputs.text


def test_no_function_may_have_its_name(notebook: Notebook, server: CannedServer) -> None:
    notebook.user_ns["python"] = lambda: None

    assert isinstance(notebook.run("%%oss --python auto -t python\nGo."), MagicUsageError)
    assert server.requests == []


def test_a_later_cell_without_the_tool_keeps_the_call_in_its_history(
    notebook: Notebook, server: CannedServer
) -> None:
    server.play(runs("1 + 1"), answer("Two."), answer("Yes."))
    notebook.run("%%oss --python auto\nOne and one?", "a")

    notebook.run("%%oss\nSure?", "b")

    roles = [message["role"] for message in server.requests[-1]["messages"]]
    assert roles == ["user", "assistant", "tool", "assistant", "user"]


@pytest.mark.parametrize("reply", ["y", "Yes", " YES "])
def test_ask_shows_the_code_and_waits_for_a_yes(
    notebook: Notebook, server: CannedServer, monkeypatch: pytest.MonkeyPatch, reply: str
) -> None:
    asked = ask(notebook, monkeypatch, reply)
    server.play(runs("x = 8"), answer("Done."))

    assert notebook.run("%%oss --python ask\nGo.") is None

    ((question, page),) = asked.seen
    assert question == "Run this code? [y/N] "
    assert "[python]\nx = 8" in page
    assert notebook.user_ns["x"] == 8


@pytest.mark.parametrize("reply", ["", "n", "no", "what?"])
def test_without_a_yes_the_code_does_not_run_and_the_model_is_told(
    notebook: Notebook, server: CannedServer, monkeypatch: pytest.MonkeyPatch, reply: str
) -> None:
    ask(notebook, monkeypatch, reply)
    server.play(runs("x = 8"), answer("As you like."))

    assert notebook.run("%%oss --python ask\nGo.") is None

    assert "x" not in notebook.user_ns
    assert server.requests[-1]["messages"][-1]["content"] == "Not run: the user said no."
    assert "<b>error</b> Not run" in notebook.outputs.html


def test_where_nobody_can_be_asked_the_cell_says_what_to_do(
    notebook: Notebook, server: CannedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", StringIO(""))
    server.play(runs("x = 8"))

    error = notebook.run("%%oss --python ask\nGo.")

    assert isinstance(error, MagicUsageError)
    assert "--python auto" in str(error)
    assert "x" not in notebook.user_ns
