"""Find the server for a cell: the one the user named, or the one this kernel belongs to."""

import os
from pathlib import Path
from typing import Any

from jupyter_core.paths import jupyter_data_dir, jupyter_runtime_dir

from jupyter_mlx_gpt_oss.client.client import Client
from jupyter_mlx_gpt_oss.client.connection import (
    discovered_connections,
    explicit_connections,
    read_kept_key,
)
from jupyter_mlx_gpt_oss.errors import CellInterruptedError, ServerNotFoundError

VSCODE_ADVICE = (
    "VS Code starts kernels without a Jupyter server: run `jupyter mlx-gpt-oss` in a terminal of this machine, "
    "and then this cell again."
)


def find_client(url: str, key: str, model: str = "") -> tuple[Client, dict[str, Any]]:
    """Return a client of the server, and the card of the model that it serves.

    Args:
        url: the server that the user named; only this one is asked then. Empty: look for one.
        key: its key.
        model: the one to use, where the server has several.

    Raises:
        ServerNotFoundError: none answers; the message says what was tried.
        CellInterruptedError: the user interrupted.
    """
    if url:
        places = explicit_connections(url, key)
    else:
        kept_key = read_kept_key(Path(jupyter_data_dir()))
        places = discovered_connections(os.environ, Path(jupyter_runtime_dir()), kept_key)
    try:
        return Client.find(places, model)
    except ServerNotFoundError as error:
        if url or not any(name.startswith("VSCODE_") for name in os.environ):
            raise
        raise ServerNotFoundError(f"{error} {VSCODE_ADVICE}") from None
    except KeyboardInterrupt:
        raise CellInterruptedError("no server had answered yet.") from None
