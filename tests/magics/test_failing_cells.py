"""A real shell, the real client and a real HTTP server: cells that are interrupted or fail."""

import asyncio
import json
import signal
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from jupyter_mlx_gpt_oss.errors import (
    CellInterruptedError,
    MagicUsageError,
    ServerNotFoundError,
    ServerResponseError,
    StreamInterruptedError,
)
from tests.magics.conftest import Notebook
from tests.support.canned_server import (
    DROP,
    HOLD,
    KEY,
    CannedServer,
    answer,
    calls_weather,
    delta,
    frame,
)


def interrupt_when_shown(notebook: Notebook, text: str) -> threading.Thread:
    """Press Ctrl-C once `text` is on the page."""
    main_thread = threading.main_thread().ident
    assert main_thread is not None

    def watch() -> None:
        outputs = notebook.outputs
        with outputs.changed:
            if outputs.changed.wait_for(lambda: text in outputs.text, timeout=10):
                signal.pthread_kill(main_thread, signal.SIGINT)

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


def test_ctrl_c_stops_the_generation_and_keeps_what_arrived(
    notebook: Notebook, server: CannedServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.play([delta(content="Once upon"), HOLD], answer("Hi"))
    thread = interrupt_when_shown(notebook, "Once upon")

    error = notebook.run("%%oss -o story\nTell me a story.", "a")
    thread.join()

    assert isinstance(error, CellInterruptedError)
    assert server.client_gone.wait(5)
    assert "Once upon" in notebook.outputs.text
    assert "interrupted" in notebook.outputs.text
    assert "story" not in notebook.user_ns
    printed = capsys.readouterr().out
    assert printed.startswith("Interrupted: ")
    assert "Traceback" not in printed
    notebook.run("%%oss\nHi", "b")
    assert len(server.requests[1]["messages"]) == 1


def test_a_cell_that_is_run_again_and_fails_costs_no_turn(notebook: Notebook, server: CannedServer) -> None:
    server.play(answer("1"), answer("2"), [delta(content="Once upon"), HOLD], answer("3"))
    notebook.run("%%oss\nfirst", "a")
    notebook.run("%%oss\nsecond", "b")
    thread = interrupt_when_shown(notebook, "Once upon")

    assert isinstance(notebook.run("%%oss\nfirst, and otherwise", "a"), CellInterruptedError)
    thread.join()
    notebook.run("%%oss\nthird", "c")

    asked = [message["content"] for message in server.requests[3]["messages"] if message["role"] == "user"]
    assert asked == ["first", "second", "third"]
    assert len(server.requests[2]["messages"]) == 1


def test_ctrl_c_in_an_async_tool_cancels_it(notebook: Notebook, server: CannedServer) -> None:
    endings: list[str] = []
    main_thread = threading.main_thread().ident
    assert main_thread is not None

    async def weather(city: str) -> str:
        try:
            signal.pthread_kill(main_thread, signal.SIGINT)
            await asyncio.Event().wait()
        finally:
            endings.append("cancelled")
        return city

    notebook.user_ns["get_weather"] = weather
    server.play(calls_weather())

    error = notebook.run("%%oss -t get_weather\nWeather?")

    assert isinstance(error, CellInterruptedError)
    assert endings == ["cancelled"]


@pytest.mark.parametrize(
    ("script", "kind", "mark"),
    [
        ([delta(content="Once"), DROP], StreamInterruptedError, "broke off"),
        ([delta(content="Once"), frame({"error": {"message": "boom"}})], ServerResponseError, "failed"),
    ],
)
def test_a_stream_that_fails_keeps_what_arrived_and_says_so_in_one_line(
    notebook: Notebook,
    server: CannedServer,
    capsys: pytest.CaptureFixture[str],
    script: list[Any],
    kind: type[Exception],
    mark: str,
) -> None:
    server.play(script, answer("Hi"))

    error = notebook.run("%%oss\nTell me a story.", "a")

    assert type(error) is kind
    assert "Once" in notebook.outputs.text
    assert mark in notebook.outputs.text
    assert capsys.readouterr().out == f"{kind.__name__}: {error}\n"
    notebook.run("%%oss\nHi", "b")
    assert len(server.requests[1]["messages"]) == 1


@pytest.mark.parametrize("source", ["%%oss\nHi", "%oss status"])
def test_ctrl_c_while_the_server_is_looked_for_is_one_line(
    notebook: Notebook, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], source: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/gpt-oss/v1"
        monkeypatch.setenv("JUPYTER_MLX_GPT_OSS_URL", url)
        main_thread = threading.main_thread().ident
        assert main_thread is not None

        def interrupt() -> None:
            with silent.accept()[0] as accepted:
                accepted.recv(1)  # the kernel waits for an answer now
                signal.pthread_kill(main_thread, signal.SIGINT)

        thread = threading.Thread(target=interrupt)
        thread.start()
        error = notebook.run(source)
        thread.join()

    assert isinstance(error, CellInterruptedError)
    assert capsys.readouterr().out == "Interrupted: no server had answered yet.\n"


def test_a_refusal_is_one_line(
    notebook: Notebook, server: CannedServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.refuse(400, {"error": {"message": "Too long.", "code": "context_length_exceeded"}})

    notebook.run("%%oss\nHi")

    assert capsys.readouterr().out == "ServerResponseError: Too long.\n"


def test_without_a_server_the_error_says_what_to_do(
    notebook: Notebook, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("JUPYTER_MLX_GPT_OSS_URL")

    assert isinstance(notebook.run("%%oss\nHi"), ServerNotFoundError)

    assert "jupyter lab" in capsys.readouterr().out


def test_when_the_environment_is_out_of_date_the_runtime_files_are_read(
    notebook: Notebook, server: CannedServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("JUPYTER_MLX_GPT_OSS_KEY", "of yesterday")
    url = server.url.removesuffix("gpt-oss/v1")
    (tmp_path / "jpserver-1.json").write_text(json.dumps({"url": url, "token": KEY}), encoding="utf-8")
    server.play(answer("Hi"))

    assert notebook.run("%%oss\nHi") is None


@pytest.mark.parametrize(
    "line",
    ["-s 'open", "-o not-a-name", "--max-turns 0", "-t nothing"],
)
def test_a_flag_that_cannot_be_used_is_one_line(
    notebook: Notebook, capsys: pytest.CaptureFixture[str], line: str
) -> None:
    assert isinstance(notebook.run(f"%%oss {line}\nHi"), MagicUsageError)

    assert capsys.readouterr().out.count("\n") == 1


def test_a_cell_without_a_message_is_not_sent(notebook: Notebook, server: CannedServer) -> None:
    assert isinstance(notebook.run("%%oss\n\n  \n"), MagicUsageError)
    assert server.requests == []
