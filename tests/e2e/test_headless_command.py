"""`jupyter mlx-gpt-oss`: the server without a notebook, as a drop-in."""

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path

import openai

from tests.support.jupyter_process import TOKEN, jupyter_process


def test_it_serves_the_checkpoint_it_is_given_at_the_root_too(tmp_path: Path) -> None:
    arguments = (
        "mlx-gpt-oss",
        "--model",
        "demo",
        "--host",
        "127.0.0.1",
        "--port",
        "0",
        "--context-length",
        "2048",
        "--http-access-log",
    )
    with jupyter_process(tmp_path, *arguments) as server:
        root = f"http://127.0.0.1:{server.info['port']}"
        for url in (f"{root}/v1", server.openai_url):
            client = openai.OpenAI(base_url=url, api_key=TOKEN, timeout=120)
            completion = client.chat.completions.create(
                model="demo", messages=[{"role": "user", "content": "Count to 5."}], temperature=0
            )
            assert "1 2 3 4 5" in (completion.choices[0].message.content or "")
        request = urllib.request.Request(f"{root}/health", headers={"Authorization": f"Bearer {TOKEN}"})
        with urllib.request.urlopen(request) as answer:
            health = json.load(answer)
        assert (health["status"], health["model"]) == ("ok", "demo")
        assert client.models.list().data[0].to_dict()["context_length"] == 2048
        assert "client = OpenAI(base_url=" in server.log
        assert "POST" in server.log
        assert "/v1/chat/completions 200" in server.log
        assert TOKEN not in server.log


def test_help_and_version_speak_of_this_program(tmp_path: Path) -> None:
    environment = {**os.environ, "HOME": str(tmp_path)}
    command = [sys.executable, "-m", "jupyter", "mlx-gpt-oss"]
    shown = subprocess.run(
        [*command, "--help"], env=environment, capture_output=True, text=True, check=True
    ).stdout
    for option in ("--model", "--host", "--port", "--context-length"):
        assert option in shown
    version = subprocess.run(
        [*command, "--version"], env=environment, capture_output=True, text=True, check=True
    )
    assert version.stdout.strip() == "0.1.0"


def test_an_open_address_without_a_key_is_refused_with_the_line_that_sets_one(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "jupyter", "mlx-gpt-oss", "--host", "0.0.0.0", "--port", "0", "--allow-root"],
        env={**os.environ, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "--GptOss.api_key=KEY" in done.stderr
