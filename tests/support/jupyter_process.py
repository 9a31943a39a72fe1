"""A real Jupyter server in a process of its own, with folders of its own, as a user starts it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from tests.support.processes import engine_workers

TOKEN = "e2e-token"  # the server's own, for this machine and this test
_START_SECONDS = 90.0
# A base URL and a key: with them in the environment, the same tests run through a remote engine.
_REMOTE_OPTIONS = {"TEST_ENGINE_URL": "GptOss.engine_url", "TEST_ENGINE_KEY": "GptOssRemote.key"}


@dataclass(frozen=True, slots=True)
class JupyterProcess:
    """A running server."""

    process: "subprocess.Popen[bytes]"
    info: dict[str, Any]
    """The runtime file that the server wrote."""
    home: Path
    environment: dict[str, str] = field(repr=False)
    """For a kernel or a client that should find this server."""

    @property
    def url(self) -> str:
        """Ends in a slash."""
        return f"http://127.0.0.1:{self.info['port']}{self.info['base_url']}"

    @property
    def openai_url(self) -> str:
        """What a client of OpenAI's API is given."""
        return f"{self.url}gpt-oss/v1"

    @property
    def log(self) -> str:
        """What the server has said so far."""
        return (self.home / "server.log").read_text(encoding="utf-8", errors="replace")

    def workers(self) -> list[psutil.Process]:
        """The engine processes below it."""
        return engine_workers(psutil.Process(self.process.pid))


@contextmanager
def jupyter_process(home: Path, *arguments: str, cwd: Path | None = None) -> Iterator[JupyterProcess]:
    """Start `jupyter ARGUMENTS` in an empty home, wait until it serves, and stop it at the end.

    Raises:
        AssertionError: it did not start, did not stop, or left a process behind.
    """
    home.mkdir(parents=True, exist_ok=True)
    environment = {
        **{
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("JUPYTER", "JPY", "IPYTHON"))
        },
        "HOME": str(home),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        "PYTHONUNBUFFERED": "1",
    }
    # The unfolded demo and the vocabulary are shared between tests: they are made once on a user's machine too.
    environment.setdefault("XDG_CACHE_HOME", str(Path.home() / ".cache"))
    command = [
        sys.executable,
        "-m",
        "jupyter",
        *arguments,
        "--allow-root",
        "--no-browser",
        f"--ServerApp.token={TOKEN}",
        *(f"--{option}={os.environ[name]}" for name, option in _REMOTE_OPTIONS.items() if name in os.environ),
    ]
    with (home / "server.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, cwd=cwd or home, stdout=log, stderr=log)
    server = None
    try:
        info = _wait_for_runtime_file(process, home)
        server = JupyterProcess(process, info, home, environment)
        yield server
    finally:
        workers = [] if server is None else server.workers()
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) is not None
        _, alive = psutil.wait_procs(workers, timeout=5)
        assert alive == [], "the server left its engine process behind"


def _wait_for_runtime_file(process: "subprocess.Popen[bytes]", home: Path) -> dict[str, Any]:
    file = home / "runtime" / f"jpserver-{process.pid}.json"
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        log = (home / "server.log").read_text(encoding="utf-8", errors="replace")
        assert process.poll() is None, log
        text = file.read_text(encoding="utf-8") if file.is_file() else ""
        if text.endswith("}") and "is running at" in log:  # it is not written at once
            info: dict[str, Any] = json.loads(text)
            return info
        time.sleep(0.1)  # another process's start has no event to wait for
    raise AssertionError(f"the server did not start in {_START_SECONDS:.0f} s:\n{log}")
