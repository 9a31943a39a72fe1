"""A model that two ranks share, over MLX's ring on this machine, through the whole server."""

import json
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.support.jupyter_process import TOKEN, JupyterProcess, jupyter_process

# Long enough for a prompt that leaves the sliding window, short enough for two cores.
QUESTION = "Count these words. " + "apple " * 60
FIELDS = {"temperature": 0, "max_tokens": 24, "reasoning_effort": "low"}


def ask(server: JupyterProcess, text: str = QUESTION) -> dict[str, Any]:
    body = {"messages": [{"role": "user", "content": text}], **FIELDS}
    headers = {"Authorization": f"Bearer {TOKEN}"}
    answer = httpx.post(f"{server.openai_url}/chat/completions", json=body, headers=headers, timeout=500)
    assert answer.status_code == 200, f"{answer.text}\n{server.log}"
    message: dict[str, Any] = answer.json()["choices"][0]["message"]
    return message


def follower(server: JupyterProcess) -> psutil.Process:
    """The process of rank 1."""
    (found,) = (
        process
        for process in server.workers()
        if "-m" in process.cmdline() and process.environ().get("MLX_RANK") == "1"
    )
    return found


def test_two_ranks_give_the_answer_of_one_and_a_dead_one_is_replaced(tmp_path: Path) -> None:
    hosts = tmp_path / "hosts.json"
    hosts.write_text(json.dumps([{"ssh": "127.0.0.1", "ips": ["127.0.0.1"]}] * 2))
    with jupyter_process(tmp_path / "one", "server", "--port=0") as server:
        expected = ask(server)
    with jupyter_process(
        tmp_path / "two", "server", "--port=0", f"--GptOssEngine.hostfile={hosts}"
    ) as server:
        assert ask(server) == expected
        dead = follower(server)
        dead.kill()
        assert ask(server) == expected
        assert follower(server) != dead
