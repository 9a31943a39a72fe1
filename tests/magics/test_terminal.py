"""The magics in a plain `ipython`."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from IPython.terminal.interactiveshell import TerminalInteractiveShell
from traitlets.config import Config

from jupyter_mlx_gpt_oss.magics.magics import register, unregister
from tests.support.canned_server import KEY, CannedServer, answer


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
    shell.restore_sys_module_state()


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
