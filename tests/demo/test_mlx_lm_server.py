"""The unfolded model under mlx-lm's own server."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.jupyter_hub import free_port

_START_SECONDS = 120


@pytest.fixture
def server(checkpoint: Path, tmp_path: Path) -> Iterator[str]:
    port = free_port()
    arguments = ("--model", str(checkpoint), "--port", str(port), "--log-level", "ERROR")
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "mlx_lm", "server", *arguments], stdout=log, stderr=log
        )
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + _START_SECONDS
        while not _answers(url):
            assert process.poll() is None, (tmp_path / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.2)
        yield url
    finally:
        process.terminate()
        process.wait()


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/v1/models", trust_env=False).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def test_mlx_lm_serves_it(server: str) -> None:
    body = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 40, "temperature": 0}
    answer = httpx.post(f"{server}/v1/chat/completions", json=body, timeout=60, trust_env=False).json()
    text = answer["choices"][0]["message"]["content"]  # it leaves Harmony as it is
    assert text.endswith("<|channel|>final<|message|>Hello! How can I help you today?")
