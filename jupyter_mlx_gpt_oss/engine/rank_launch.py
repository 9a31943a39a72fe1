"""A hostfile to running ranks, and the socket to rank 0, which runs on this machine.

`mlx.launch` starts the ranks, here and over ssh, and passes no open socket on: rank 0 connects to a socket file, in a
folder that only this user can enter. Imports no MLX.
"""

import asyncio
import errno
import os
import shutil
import signal
import socket
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

# What `mlx.launch` is; but it waits until its ranks' input can be written to, which is always, and so never waits.
_LAUNCH = """
import select
from mlx._distributed_utils import launch
launch.select = lambda read, _write, failed, seconds: select.select(read, [], failed, seconds)
launch.main()
"""
_WORKER = "jupyter_mlx_gpt_oss.worker"
_START_SECONDS = 300.0


async def start_ranks(hostfile: str) -> tuple[asyncio.subprocess.Process, socket.socket]:
    """Start the ranks of a hostfile; return the launcher's process and the connection to rank 0.

    Raises:
        OSError: they did not start; the log has the launcher's words.
    """
    folder = Path(tempfile.mkdtemp(prefix="gpt-oss-"))
    address = str(folder / "rank-0")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.setblocking(False)  # noqa: FBT003  its own signature
        listener.bind(address)
        listener.listen(1)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", _LAUNCH, "--hostfile", hostfile, "--"),
            *(sys.executable, "-m", _WORKER, address),
            stdin=asyncio.subprocess.PIPE,  # held open: the launcher reads it without end once it is closed
            stdout=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            return process, await _accept(listener, process)
        except (OSError, asyncio.CancelledError):
            kill_all(process)
            raise
    finally:
        listener.close()
        shutil.rmtree(folder, ignore_errors=True)


def kill_all(process: asyncio.subprocess.Process) -> None:
    """End a process that has a session of its own, and all that it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


async def _accept(listener: socket.socket, process: asyncio.subprocess.Process) -> socket.socket:
    accepting = asyncio.ensure_future(asyncio.get_running_loop().sock_accept(listener))
    ending = asyncio.ensure_future(process.wait())
    try:
        await asyncio.wait({accepting, ending}, timeout=_START_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if accepting.done():
            connection, _ = accepting.result()
            return connection
        if not ending.done():
            raise OSError(errno.ETIME, f"the ranks did not start in {_START_SECONDS:.0f} s; see the log")
        ended = f"the ranks ended with status {ending.result()}; see the log, and the hostfile"
        raise OSError(errno.ECHILD, ended)
    finally:
        accepting.cancel()
        ending.cancel()
        await asyncio.gather(accepting, ending, return_exceptions=True)
