"""A model that two ranks share, over MLX's ring on this machine, through the whole server.

TEST_RANKS_MODEL names another model than the embedded one, such as one of benchmarks/make_checkpoint.py.
"""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.support.jupyter_process import TOKEN, JupyterProcess, jupyter_process

MODEL = os.environ.get("TEST_RANKS_MODEL", "demo")
# Long enough for a prompt that leaves the sliding window, short enough for two cores.
QUESTION = "Count these words. " + "apple " * 60
CHAT: dict[str, Any] = {
    "messages": [{"role": "user", "content": QUESTION}],
    "temperature": 0,
    "max_tokens": 24,
    "reasoning_effort": "low",
}
LONG_ANSWER: dict[str, Any] = {
    "prompt": "One, two, three, four,",
    "temperature": 0,
    "max_tokens": 64,
    "ignore_eos": True,
    "return_token_ids": True,
}
HEADERS = {"Authorization": f"Bearer {TOKEN}"}


def ask(server: JupyterProcess) -> dict[str, Any]:
    answer = httpx.post(f"{server.openai_url}/chat/completions", json=CHAT, headers=HEADERS, timeout=500)
    assert answer.status_code == 200, f"{answer.text}\n{server.log}"
    message: dict[str, Any] = answer.json()["choices"][0]["message"]
    return message


def stream_tokens(server: JupyterProcess, at_first: Callable[[], None] = lambda: None) -> list[int]:
    """Return a long answer's tokens; calls `at_first` when the first of them has come."""
    token_ids: list[int] = []
    body = {**LONG_ANSWER, "stream": True}
    url = f"{server.openai_url}/completions"
    with httpx.stream("POST", url, json=body, headers=HEADERS, timeout=500) as answer:
        for line in answer.iter_lines():
            if not line.startswith("data: {"):
                continue
            chunk = json.loads(line.removeprefix("data: "))
            assert "error" not in chunk, f"{chunk}\n{server.log}"
            new = [token_id for choice in chunk["choices"] for token_id in choice["token_ids"] or ()]
            if new and not token_ids:
                at_first()
            token_ids += new
    return token_ids


def follower(server: JupyterProcess) -> psutil.Process:
    """The process of rank 1."""
    (found,) = (
        process
        for process in server.workers()
        if "-m" in process.cmdline() and process.environ().get("MLX_RANK") == "1"
    )
    return found


def hostfile(folder: Path, num_ranks: int) -> str:
    """Return the option that has so many ranks of this machine share the model."""
    hosts = folder / "hosts.json"
    hosts.write_text(json.dumps([{"ssh": "127.0.0.1", "ips": ["127.0.0.1"]}] * num_ranks))
    return f"--GptOssEngine.hostfile={hosts}"


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], list[int]]:
    """What one process answers to both."""
    home = tmp_path_factory.mktemp("one")
    with jupyter_process(home, "server", "--port=0", f"--GptOss.model={MODEL}") as server:
        return ask(server), stream_tokens(server)


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, expected: tuple[dict[str, Any], list[int]]
) -> Iterator[JupyterProcess]:
    """Two ranks; the single process has ended by then."""
    del expected
    home = tmp_path_factory.mktemp("two")
    options = (f"--GptOss.model={MODEL}", hostfile(home, 2))
    with jupyter_process(home, "server", "--port=0", *options) as server:
        yield server


def test_two_ranks_give_the_answers_of_one(
    server: JupyterProcess, expected: tuple[dict[str, Any], list[int]]
) -> None:
    message, token_ids = expected
    assert len(token_ids) == LONG_ANSWER["max_tokens"]
    assert ask(server) == message
    assert stream_tokens(server) == token_ids


def test_a_rank_that_dies_between_answers_is_replaced(
    server: JupyterProcess, expected: tuple[dict[str, Any], list[int]]
) -> None:
    ask(server)
    dead = follower(server)
    dead.kill()
    assert ask(server) == expected[0]
    assert follower(server) != dead


def test_an_answer_goes_on_where_it_was_when_a_rank_dies_within_it(
    server: JupyterProcess, expected: tuple[dict[str, Any], list[int]]
) -> None:
    ask(server)
    dead = follower(server)
    assert stream_tokens(server, dead.kill) == expected[1]
    ask(server)  # on a busy machine the first answer may have been whole already
    assert follower(server) != dead


def test_three_ranks_are_refused_with_the_reason(tmp_path: Path) -> None:
    options = (f"--GptOss.model={MODEL}", hostfile(tmp_path, 3))
    with jupyter_process(tmp_path / "home", "server", "--port=0", *options) as server:
        answer = httpx.post(f"{server.openai_url}/chat/completions", json=CHAT, headers=HEADERS, timeout=500)
        assert answer.status_code == 500, answer.text
        error = answer.json()["error"]
        assert error["code"] == "model_load_failed"
        assert "3 ranks cannot share this model: 4 key-value heads" in error["message"]
        assert "Numbers of ranks that can: 1, 2, 4." in error["message"]
