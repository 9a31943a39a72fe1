"""Cells in real kernels: those that a Jupyter server has started, and those that nothing but a test has."""

import queue
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager

from tests.support.jupyter_process import JupyterProcess

_TIMEOUT_SECONDS = 120.0
_MAX_ATTEMPTS = 30
_XSRF = "abcd"  # any cookie is right that the header repeats


@dataclass(frozen=True, slots=True)
class KernelCells:
    """A kernel, cell after cell."""

    client: BlockingKernelClient

    def run(self, source: str) -> str:
        """Run a cell, and return the text of all that it showed; an error as IPython shows it."""
        texts: list[str] = []

        def note(message: Mapping[str, Any]) -> None:
            content = message["content"]
            if message["msg_type"] == "stream":
                texts.append(content["text"])
            elif message["msg_type"] == "error":
                texts.append("\n".join(content["traceback"]))
            elif "data" in content:
                texts.append(content["data"]["text/plain"])

        self.client.execute_interactive(source, allow_stdin=False, output_hook=note, timeout=_TIMEOUT_SECONDS)
        return "\n".join(texts)


@contextmanager
def connected(connection_file: str) -> Iterator[KernelCells]:
    """Talk to a kernel that runs."""
    client = BlockingKernelClient(connection_file=connection_file)
    client.load_connection_file()
    client.start_channels()
    try:
        _wait_until_heard(client)
        yield KernelCells(client)
    finally:
        client.stop_channels()


def _wait_until_heard(client: BlockingKernelClient) -> None:
    # The client's own way to wait takes a kernel that is slow to start for a dead one.
    for _ in range(_MAX_ATTEMPTS):
        client.kernel_info(reply=True, timeout=_TIMEOUT_SECONDS)
        try:
            client.get_iopub_msg(timeout=1)
        except queue.Empty:
            continue
        return
    raise AssertionError("the kernel's outputs are not heard")


@contextmanager
def kernel_of_server(server: JupyterProcess, *, token: str = "", password: str = "") -> Iterator[KernelCells]:
    """Have a server start a kernel, as its notebooks do, and end it."""
    headers = {"X-XSRFToken": _XSRF, **({"Authorization": f"token {token}"} if token else {})}
    with httpx.Client(base_url=server.url, headers=headers, cookies={"_xsrf": _XSRF}, timeout=60) as http:
        if password:
            http.post("login", data={"password": password, "_xsrf": _XSRF})
        notebook = {"path": "a.ipynb", "name": "a", "type": "notebook", "kernel": {"name": "python3"}}
        reply = http.post("api/sessions", json=notebook)
        reply.raise_for_status()
        session = reply.json()
        try:
            with connected(str(server.home / "runtime" / f"kernel-{session['kernel']['id']}.json")) as cells:
                yield cells
        finally:
            http.delete(f"api/sessions/{session['id']}").raise_for_status()


@contextmanager
def kernel_of_nobody(environment: Mapping[str, str], home: Path) -> Iterator[KernelCells]:
    """Start a kernel as `jupyter console`, nbclient and VS Code do: without a server."""
    manager = KernelManager(connection_file=str(home / "kernel.json"))
    manager.start_kernel(env=dict(environment), cwd=str(home))
    try:
        with connected(manager.connection_file) as cells:
            yield cells
    finally:
        manager.shutdown_kernel(now=True)
