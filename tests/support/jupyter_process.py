"""A real Jupyter server in a process of its own, with folders of its own, as a user starts it.

With TEST_THIN=1 in the environment, every server that a test starts is thin: its engine's options go to a second server,
which runs in the same folder, and what it sends there passes a proxy that holds it to vLLM's documents.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psutil

from tests.support.checking_proxy import checking_proxy
from tests.support.processes import engine_workers

TOKEN = "e2e-token"  # the server's own, for this machine and this test
_START_SECONDS = 90.0
_IS_THIN = bool(os.environ.get("TEST_THIN"))
_FAR_KEY = "sk-far"
# Options of a server that the far one gets in the place of the thin one.
_FAR_OPTIONS = ("--GptOss.engine_class=", "--GptOss.model=", "--GptOss.preload=", "--GptOssEngine.")


@dataclass(frozen=True, slots=True)
class JupyterProcess:
    """A running server."""

    process: "subprocess.Popen[bytes]"
    info: dict[str, Any]
    """The runtime file that the server wrote."""
    home: Path
    environment: dict[str, str] = field(repr=False)
    """For a kernel or a client that should find this server."""
    far: "JupyterProcess | None" = None
    """The server that has its engine; None: it has its own."""

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
        """The engine processes below it, or below the far server."""
        return engine_workers(psutil.Process((self.far or self).process.pid))


@contextmanager
def jupyter_process(home: Path, *arguments: str, cwd: Path | None = None) -> Iterator[JupyterProcess]:
    """Start `jupyter ARGUMENTS` in an empty home, wait until it serves, and stop it at the end.

    Raises:
        AssertionError: it did not start, did not stop, or left a process behind; or it is thin, and sent what vLLM's
            documents do not know.
    """
    home.mkdir(parents=True, exist_ok=True)
    is_thin_already = any(argument.startswith("--GptOss.engine_url=") for argument in arguments)
    start = _started_thin if _IS_THIN and not is_thin_already else _started
    with start(home, arguments, cwd or home) as server:
        yield server


@contextmanager
def _started_thin(home: Path, arguments: tuple[str, ...], cwd: Path) -> Iterator[JupyterProcess]:
    far_options = [argument for argument in arguments if argument.startswith(_FAR_OPTIONS)]
    near_options = [argument for argument in arguments if argument not in far_options]
    command = ("mlx-gpt-oss", "--port=0", f"--GptOss.api_key={_FAR_KEY}", *far_options)
    with (
        tempfile.TemporaryDirectory() as far_home,
        _started(Path(far_home), command, cwd) as far,
        checking_proxy(far.openai_url) as url,
    ):
        remote = (f"--GptOss.engine_url={url}", f"--GptOssRemote.key={_FAR_KEY}")
        with _started(home, (*near_options, *remote), cwd) as server:
            yield replace(server, far=far)


@contextmanager
def _started(home: Path, arguments: tuple[str, ...], cwd: Path) -> Iterator[JupyterProcess]:
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
    ]
    with (home / "server.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, cwd=cwd, stdout=log, stderr=log)
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


def _accepts_connections(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return False
    return True


def _wait_for_runtime_file(process: "subprocess.Popen[bytes]", home: Path) -> dict[str, Any]:
    file = home / "runtime" / f"jpserver-{process.pid}.json"
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        log = (home / "server.log").read_text(encoding="utf-8", errors="replace")
        assert process.poll() is None, log
        text = file.read_text(encoding="utf-8") if file.is_file() else ""
        if text.endswith("}") and "is running at" in log:  # it is not written at once
            info: dict[str, Any] = json.loads(text)
            if _accepts_connections(info["port"]):
                return info
        time.sleep(0.1)  # another process's start has no event to wait for
    raise AssertionError(f"the server did not start in {_START_SECONDS:.0f} s:\n{log}")
