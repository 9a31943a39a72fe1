"""The magics in a plain `ipython`."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from IPython.terminal.interactiveshell import TerminalInteractiveShell
from traitlets.config import Config

from jupyter_mlx_gpt_oss.magics.magics import register, unregister
from tests.magics.conftest import forget
from tests.support.canned_server import KEY, CannedServer, answer, ending, tool_delta


@pytest.fixture
def run(
    server: CannedServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Callable[..., Any]]:
    """Type a cell into a terminal."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    monkeypatch.setenv("JUPYTER_MLX_GPT_OSS_URL", server.url)
    monkeypatch.setenv("JUPYTER_MLX_GPT_OSS_KEY", KEY)
    config = Config()
    config.HistoryManager.enabled = False
    config.TerminalInteractiveShell.simple_prompt = True
    make_shell: Callable[..., Any] = TerminalInteractiveShell
    shell = make_shell(config=config)
    register(shell)
    yield lambda source: shell.run_cell(source, store_history=True)
    unregister(shell)
    forget(shell)


def test_an_answer_is_plain_text_printed_once(
    run: Callable[..., Any], server: CannedServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.play(answer("Hello **Ada**", "A greeting."))

    run("%%oss\nMy name is Ada.")

    shown = capsys.readouterr().out
    assert shown.startswith("[Reasoning]\nA greeting.\n\nHello **Ada**\n[12 tokens · ")
    assert shown.count("Hello") == 1


def test_the_same_input_again_is_a_new_turn(run: Callable[..., Any], server: CannedServer) -> None:
    server.play(answer("one"), answer("two"))

    run("%%oss\nyes")
    run("%%oss\nyes")

    assert [message["content"] for message in server.requests[1]["messages"]] == ["yes", "one", "yes"]


def test_what_the_models_code_prints_stands_below_the_code(
    run: Callable[..., Any], server: CannedServer, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = json.dumps({"code": "print('hi')\n2 + 2"})
    call = [tool_delta("python", arguments[:9], arguments[9:14], arguments[14:]), ending("tool_calls")]
    server.play(call, answer("Four."))

    run("%%oss --python auto\nGo.")

    shown = capsys.readouterr().out
    assert shown.startswith("[python]\nprint('hi')\n2 + 2\nhi\nOut[1]: 4\n")
    assert "\nFour.\n[24 tokens" in shown
    assert shown.count("Out[1]: 4") == 1
    assert server.requests[1]["messages"][-1]["content"] == "hi\nOut[1]: \n4"


def test_an_exception_in_the_models_code_is_shown_once(
    run: Callable[..., Any], server: CannedServer, capsys: pytest.CaptureFixture[str]
) -> None:
    call = [tool_delta("python", json.dumps({"code": "1 / 0"})), ending("tool_calls")]
    server.play(call, answer("Infinity."))

    run("%%oss --python auto\nGo.")

    assert capsys.readouterr().out.count("ZeroDivisionError") == 1


def test_what_a_tool_prints_begins_a_line(
    run: Callable[..., Any], server: CannedServer, capsys: pytest.CaptureFixture[str]
) -> None:
    run("def look(city):\n    print('looking')\n    return 'sunny'")
    server.play([tool_delta("look", '{"city": "Kyoto"}'), ending("tool_calls")], answer("Sunny."))

    run("%%oss -t look\nGo.")

    assert (
        '[tool] look {"city": "Kyoto"}\nlooking\n[result of look] sunny\n\nSunny.' in capsys.readouterr().out
    )


def test_control_characters_of_the_model_do_not_reach_the_screen(
    run: Callable[..., Any], server: CannedServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.play(answer("a\x1b]0;b\x07c"), answer('{"\x9b2J": 1}'))
    run("class Nothing(__import__('pydantic').BaseModel, extra='forbid'): pass")

    run("%%oss\nGo.")
    run("%oss history")
    run("%%oss --schema Nothing\nGo.")

    shown = capsys.readouterr().out
    assert shown.count("a�]0;b�c") == 2
    assert "The answer does not fit Nothing: �2J: " in shown
    assert not set("\x1b\x07\x9b") & set(shown)
