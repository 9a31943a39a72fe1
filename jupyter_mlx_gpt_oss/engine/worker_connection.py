"""A worker process and the private socket to it: commands in, reports out.

Owns both; `close` is the one way out and leaves neither behind. Knows no requests.
"""

import asyncio
import logging
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack

from jupyter_mlx_gpt_oss.engine.frames import (
    MAX_FRAME_BYTES,
    Command,
    FrameError,
    Report,
    decode_report,
    encode,
)
from jupyter_mlx_gpt_oss.engine.rank_launch import kill_all, start_ranks

_log = logging.getLogger(__name__)
_POLL_SECONDS = 1.0


class WorkerConnection:
    """A running worker; make one with `open`."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._process = process
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, hostfile: str = "") -> "WorkerConnection":
        """Start a worker process, or all ranks of a hostfile.

        Raises:
            OSError: no process, or no socket, is to be had.
        """
        if hostfile:
            process, connection = await start_ranks(hostfile)
            with ExitStack() as undo:
                undo.callback(connection.close)
                undo.callback(kill_all, process)
                reader, writer = await asyncio.open_connection(sock=connection, limit=MAX_FRAME_BYTES)
                undo.pop_all()
            return cls(process, reader, writer)
        ours, theirs = socket.socketpair()
        with ExitStack() as undo:  # also where whoever opens it is cancelled
            undo.callback(ours.close)
            with theirs:
                process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    "-m",
                    "jupyter_mlx_gpt_oss.worker",
                    str(theirs.fileno()),
                    pass_fds=[theirs.fileno()],
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.DEVNULL,  # libraries print; the server's stdout is not theirs
                    start_new_session=True,  # Ctrl-C in the server's terminal is the server's to handle
                )
            undo.callback(process.kill)
            reader, writer = await asyncio.open_connection(sock=ours, limit=MAX_FRAME_BYTES)
            undo.pop_all()
        return cls(process, reader, writer)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def send(self, command: Command) -> None:
        """Queue a command; a worker that is gone is noticed by `reports`."""
        if not self._writer.is_closing():
            self._writer.write(encode(command))

    async def reports(self, stall_seconds: Callable[[], float | None]) -> AsyncIterator[Report]:
        """Yield reports until the worker ends, sends what is no report, or is silent too long.

        Args:
            stall_seconds: asked now and then; None while silence is fine.
        """
        while (line := await self._line(stall_seconds)).endswith(b"\n"):
            try:
                report = decode_report(line)
            except FrameError as error:
                _log.error("the engine process sent what is no report: %s", error)
                return
            yield report

    async def _line(self, stall_seconds: Callable[[], float | None]) -> bytes:
        """Return the next line; one without its newline is the last."""
        line = asyncio.ensure_future(self._reader.readline())
        silent_seconds = 0.0
        try:
            while not (await asyncio.wait({line}, timeout=_POLL_SECONDS))[0]:
                limit = stall_seconds()
                silent_seconds = silent_seconds + _POLL_SECONDS if limit is not None else 0.0
                if limit is not None and silent_seconds > limit:
                    _log.error("the engine process was silent for %.0f s and is ended", silent_seconds)
                    return b""
            return line.result()
        except (OSError, ValueError) as error:  # ValueError: a line over the limit
            _log.error("the engine process cannot be read: %s", error)
            return b""
        finally:
            line.cancel()

    def kill(self) -> None:
        """End the worker at once, whatever it does."""
        kill_all(self._process)
        self._writer.close()

    async def close(self, timeout_seconds: float) -> int:
        """End the process: politely by closing the socket, then by force. Return its exit status."""
        self._writer.close()  # once it has read what is on its way
        try:
            return await asyncio.wait_for(self._process.wait(), timeout_seconds)
        except TimeoutError:
            kill_all(self._process)  # ranks do not end with their launcher
            return await self._process.wait()
        finally:
            self._writer.transport.abort()  # a process that was stopped has left things unread
            # What was wrong with the connection, `reports` has said.
            await asyncio.gather(self._writer.wait_closed(), return_exceptions=True)
