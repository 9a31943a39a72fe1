"""A socket's lines to a queue of commands, by one thread that touches nothing else."""

import queue
import socket
import threading

from jupyter_mlx_gpt_oss.engine.frames import Command, FrameError, decode_command


class CommandInbox:
    """Commands in the order in which they were sent. Owns the reader thread."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._queue: queue.SimpleQueue[Command | None] = queue.SimpleQueue()
        threading.Thread(target=self._read, name="gpt-oss commands", daemon=True).start()

    def get(self, *, wait_seconds: float | None) -> Command | None:
        """Return the next command; None when there is none for so long. None seconds: wait for ever.

        Raises:
            EOFError: the notebook server closed the socket, or is gone.
        """
        try:
            command = self._queue.get(block=wait_seconds != 0, timeout=wait_seconds)
        except queue.Empty:
            return None
        if command is None:
            raise EOFError
        return command

    def _read(self) -> None:
        with self._connection.makefile("rb") as lines:
            try:
                for line in lines:
                    self._queue.put(decode_command(line))
            except (OSError, FrameError):
                pass  # a server that is gone, or broken, is the end either way
            finally:
                self._queue.put(None)
