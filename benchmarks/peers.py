"""The servers that are measured side by side: each in a process of its own, from a virtual environment of its own.

The environments are made below benchmarks/out/ on first use. mlx-gpt-oss gets the last versions of MLX that it runs with.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import venv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from benchmarks.results import OUT
from jupyter_mlx_gpt_oss import vocabulary

_ROOT = Path(__file__).parent.parent
_START_SECONDS = 600.0
KEY = "benchmark"
HEADERS = {"Authorization": f"Bearer {KEY}"}
BACKEND = "cpu" if sys.platform == "linux" else ""
"""MLX's extra that is installed: `cpu`, `cuda12` or `cuda13`; none on a Mac."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A server to measure."""

    name: str
    packages: tuple[str, ...]
    """For pip; {backend} is filled in, with its brackets."""
    command: tuple[str, ...]
    """After the environment's bin/; {model} and {port} are filled in."""
    fields: Mapping[str, object] = field(default_factory=dict)
    """Of every request: what this server needs to do what the others do."""
    scenarios: frozenset[str] | None = None
    """The only ones that it takes part in; None: all."""
    environment_name: str = ""
    """Whose environment it shares; empty: it has one of its own."""

    def environment(self, backend: str = BACKEND) -> Path:
        """Return the place of its virtual environment."""
        name = f"venv-{self.environment_name or self.name}"
        return OUT / (name if backend == BACKEND else f"{name}-{backend}")

    def install(self, backend: str = BACKEND) -> None:
        """Make the environment, if it is not there."""
        environment = self.environment(backend)
        done = environment / "installed"
        if not done.is_file():
            venv.create(environment, with_pip=True, clear=True)
            extra = f"[{backend}]" if backend else ""
            packages = [package.format(backend=extra) for package in self.packages]
            subprocess.run([str(environment / "bin" / "pip"), "install", "-q", *packages], check=True)
            done.touch()

    @contextlib.contextmanager
    def run(self, model: Path, backend: str = BACKEND) -> Iterator[str]:
        """Serve a checkpoint; give the base URL of its OpenAI routes."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        first, *rest = (part.format(model=model, port=port) for part in self.command)
        with contextlib.ExitStack() as stack:
            log = stack.enter_context((OUT / f"{self.name}.log").open("wb"))
            vocabulary_directory = stack.enter_context(vocabulary.directory())
            process = subprocess.Popen(
                [str(self.environment(backend) / "bin" / first), *rest],
                stdout=log,
                stderr=log,
                cwd=OUT,
                env={**os.environ, "TIKTOKEN_ENCODINGS_BASE": str(vocabulary_directory)},
            )
            url = f"http://127.0.0.1:{port}/v1"
            try:
                _wait(process, url)
                yield url
            finally:
                process.send_signal(signal.SIGTERM)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(10)
                process.kill()


_OURS = (
    "jupyter-mlx-gpt-oss",
    "--model={model}",
    "--port={port}",
    f"--GptOss.api_key={KEY}",
    "--allow-root",
)
_OUR_PACKAGES = ("-e", str(_ROOT), "mlx{backend}==0.32.4")

PEERS = (
    Peer("ours", _OUR_PACKAGES, _OURS),
    Peer(
        "ours, no lookup",
        _OUR_PACKAGES,
        (*_OURS, "--GptOssEngine.prompt_lookup_tokens=0"),
        scenarios=frozenset({"one"}),
        environment_name="ours",
    ),
    Peer(
        "mlx_lm",
        ("mlx-lm==0.32.2", "mlx{backend}==0.32.4"),
        ("mlx_lm.server", "--model={model}", "--port={port}"),
    ),
    Peer(
        "mlx_gpt_oss",
        ("mlx-gpt-oss==1.0.3", "mlx-lm==0.31.1", "mlx{backend}==0.31.1"),
        ("mlx-gpt-oss", "--model={model}", "--port={port}", "--host=127.0.0.1"),
        {"repetition_penalty": 1.0},  # it penalises by default, and the others do not
    ),
)


def _wait(process: "subprocess.Popen[bytes]", url: str) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(f"{url}/models", headers=HEADERS).status_code < 500:
                return
        time.sleep(0.2)
    raise RuntimeError(f"no server at {url}; see the logs in {OUT}")
