"""The python tool in a real kernel: what a front end receives, and how the user is asked."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import start_new_kernel

from tests.support.canned_server import KEY, CannedServer, answer, ending, tool_delta

TIMEOUT_SECONDS = 60
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
CODE = f"""
import base64
from IPython.display import Image, display
print("hello")
display(Image(base64.b64decode("{PIXEL}")))
1 + 1"""

Execute = Callable[..., list[tuple[str, Any]]]


@pytest.fixture
def execute(server: CannedServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Execute]:
    """Run a cell; return what a front end receives of it."""
    monkeypatch.setenv("JUPYTER_MLX_GPT_OSS_URL", server.url)
    monkeypatch.setenv("JUPYTER_MLX_GPT_OSS_KEY", KEY)
    manager, client = start_new_kernel(startup_timeout=TIMEOUT_SECONDS)
    assert isinstance(client, BlockingKernelClient)

    def execute(source: str, reply: str = "") -> list[tuple[str, Any]]:
        messages: list[tuple[str, Any]] = []
        client.execute_interactive(
            source,
            allow_stdin=bool(reply),
            timeout=TIMEOUT_SECONDS,
            output_hook=lambda message: messages.append((message["msg_type"], message["content"])),
            stdin_hook=lambda _: client.input(reply),
        )
        return [message for message in messages if message[0] not in {"status", "execute_input"}]

    execute("%load_ext jupyter_mlx_gpt_oss")
    yield execute
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def test_code_runs_as_a_cell_does(execute: Execute, server: CannedServer) -> None:
    def runs(code: str) -> list[str]:
        return [tool_delta("python", json.dumps({"code": code})), ending("tool_calls")]

    server.play(runs(CODE), answer("Done."), runs("shown = 1"), answer("Done."), runs("never = 1"))

    messages = execute("%%oss --python auto\nGo.")
    assert [kind for kind, _ in messages if kind != "update_display_data"] == [
        "display_data",  # the call
        "stream",
        "display_data",  # the figure
        "execute_result",
        "display_data",  # the answer
        "display_data",  # the quiet line
    ]
    assert server.requests[1]["messages"][-1]["content"] == "hello\n[figure 1x1]\n2"

    execute("%%oss --python ask\nGo.", reply="y")
    ((_, content),) = execute("print(shown)")
    assert content["text"] == "1\n"

    kind, content = execute("%%oss --python ask\nGo.")[-1]
    assert kind == "error"
    (line,) = content["traceback"]
    assert "--python auto" in line
