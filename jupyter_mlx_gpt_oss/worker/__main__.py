"""The engine process: load the model that the first command names, then serve commands until the socket closes."""

import logging
import os
import signal
import socket
import sys
from collections.abc import Callable

from jupyter_mlx_gpt_oss.engine.frames import Loaded, LoadFailed, LoadProgress, Report, Start, encode
from jupyter_mlx_gpt_oss.errors import EngineError, OutOfMemoryError
from jupyter_mlx_gpt_oss.worker.command_inbox import CommandInbox

_Post = Callable[[Report], None]
_QUIET_SECONDS = 2.0  # without a command, before what later requests will need is prepared


def main(file_descriptor: int) -> None:
    """Serve the notebook server on the other end of a socket; returns when it closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C belongs to the notebook server
    connection = socket.socket(fileno=file_descriptor)

    def post(report: Report) -> None:
        connection.sendall(encode(report))

    inbox = CommandInbox(connection)
    try:
        start = inbox.get(wait_seconds=None)
        assert isinstance(start, Start)
        _serve(start, inbox, post)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return  # the notebook server closed the socket


def _serve(start: Start, inbox: CommandInbox, post: _Post) -> None:
    from jupyter_mlx_gpt_oss.worker.engine_loop import EngineLoop  # noqa: PLC0415  seconds: mlx_lm brings transformers
    from jupyter_mlx_gpt_oss.worker.model_loader import load  # noqa: PLC0415

    config = start.config
    try:
        loaded = load(config.model, config.context_length, lambda progress: post(LoadProgress(progress)))
    except EngineError as error:
        post(LoadFailed(error.code, error.message))
        return
    except MemoryError:
        post(LoadFailed(OutOfMemoryError.code, "There is not enough memory to load the model."))
        return
    post(Loaded(loaded.info))
    loop = EngineLoop(loaded, config, post)
    is_prepared = False
    while True:
        patience = None if is_prepared else _QUIET_SECONDS
        while (command := inbox.get(wait_seconds=patience if loop.is_idle else 0)) is not None:
            loop.take(command)
        if not loop.is_idle:
            loop.step()
        elif not is_prepared:
            loop.prepare()
            is_prepared = True


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="[%(levelname).1s %(asctime)s gpt-oss engine] %(message)s")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    main(int(sys.argv[1]))
