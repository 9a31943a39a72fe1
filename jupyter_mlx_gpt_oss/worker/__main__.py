"""The engine process: load the model that the first command names, then serve commands until the socket closes."""

import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable

from jupyter_mlx_gpt_oss.engine.frames import (
    Command,
    Loaded,
    LoadFailed,
    LoadProgress,
    Report,
    Start,
    encode,
)
from jupyter_mlx_gpt_oss.errors import EngineError, ModelLoadError, OutOfMemoryError
from jupyter_mlx_gpt_oss.worker.command_inbox import CommandInbox
from jupyter_mlx_gpt_oss.worker.lean_mlx_lm import leave_out_tokenizers
from jupyter_mlx_gpt_oss.worker.ranks import Ranks, join_ranks

_log = logging.getLogger(__name__)
_GONE = (EOFError, BrokenPipeError, ConnectionResetError)  # the notebook server closed the socket
_Post = Callable[[Report], None]
_Next = Callable[[float | None], Command | None]
_LAST_WORD_SECONDS = 5.0
_QUIET_SECONDS = 2.0  # without a command, before what later requests will need is prepared


def main(address: str) -> None:
    """Serve the notebook server on the other end of a socket; returns when it closes.

    Args:
        address: the number of an inherited socket; or, for ranks, the path of the one that rank 0 connects to.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C belongs to the notebook server
    ranks = join_ranks()
    connection = _connect(address) if ranks.is_leader else None
    inbox = CommandInbox(connection) if connection is not None else None

    def post(report: Report) -> None:
        if connection is not None:
            connection.sendall(encode(report))

    def next_command(wait_seconds: float | None) -> Command | None:
        def get() -> Command | None:
            assert inbox is not None, "rank 0 alone has commands to share"
            return inbox.get(wait_seconds=wait_seconds)

        return ranks.share(get, Command | None)

    try:
        start = next_command(None)
        assert isinstance(start, Start)
        _serve(start, next_command, post, ranks)
    except _GONE:
        return  # the notebook server closed the socket


def _connect(address: str) -> socket.socket:
    if address.isdecimal():
        return socket.socket(fileno=int(address))
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.connect(address)
    return connection


def _serve(start: Start, next_command: _Next, post: _Post, ranks: Ranks) -> None:
    leave_out_tokenizers()
    from jupyter_mlx_gpt_oss.worker.engine_loop import EngineLoop  # noqa: PLC0415  brings mlx_lm
    from jupyter_mlx_gpt_oss.worker.model_loader import load  # noqa: PLC0415

    config = start.config
    try:
        loaded = load(
            config.model, config.context_length, lambda progress: post(LoadProgress(progress)), ranks
        )
    except _GONE:
        raise
    except Exception as error:  # noqa: BLE001  the worker's border: a fault becomes a report
        _fail(_load_error(error), post, ranks)
        return
    post(Loaded(loaded.info))
    loop = EngineLoop(loaded, config, post, ranks)
    is_prepared = False
    while True:
        patience = None if is_prepared else _QUIET_SECONDS
        while (command := next_command(patience if loop.is_idle else 0)) is not None:
            loop.take(command)
        if not loop.is_idle:
            loop.step()
        elif not is_prepared:
            loop.prepare()
            is_prepared = True


def _load_error(error: Exception) -> EngineError:
    """Return what a load that failed is to its callers."""
    from jupyter_mlx_gpt_oss.worker.memory import is_out_of_memory  # noqa: PLC0415  brings MLX

    if isinstance(error, EngineError):
        return error
    if is_out_of_memory(error):
        return OutOfMemoryError("There is not enough memory to load the model.")
    _log.error("the model cannot be loaded", exc_info=error)
    return ModelLoadError(
        f"The model cannot be loaded: {type(error).__name__}. If it was being downloaded, check the network and the disk and "
        "send the request again; files that are whole are not downloaded again. The server's log says more."
    )


def _fail(error: EngineError, post: _Post, ranks: Ranks) -> None:
    """Report that the model cannot be loaded."""
    post(LoadFailed(error.code, error.message))
    if not ranks.is_leader:
        _log.error("this rank cannot load the model: %s", error.message)
        # The end of a rank ends rank 0, which is to say first what it found too.
        time.sleep(_LAST_WORD_SECONDS)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="[%(levelname).1s %(asctime)s gpt-oss engine] %(message)s")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    main(sys.argv[1])
