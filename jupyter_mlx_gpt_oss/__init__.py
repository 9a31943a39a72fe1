"""GPT-OSS inside Jupyter: OpenAI-compatible routes and the %%oss magic, sharing one MLX model."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from jupyter_mlx_gpt_oss.magics.answer import Answer
    from jupyter_mlx_gpt_oss.magics.conversation import Conversation
    from jupyter_mlx_gpt_oss.magics.tool_mark import tool

__all__ = ["Answer", "Conversation", "tool"]
__version__ = "0.1.0"

_HOMES = {"Answer": "answer", "Conversation": "conversation", "tool": "tool_mark"}


def __getattr__(name: str) -> Any:
    """Import what a notebook asks for when it asks: the server imports this package too, and needs none of it."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.magics.{_HOMES[name]}"), name)


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    from jupyter_mlx_gpt_oss.app import GptOss  # noqa: PLC0415  a kernel imports this package too, without a server

    return [{"module": "jupyter_mlx_gpt_oss", "app": GptOss}]


def load_ipython_extension(ipython: "InteractiveShell") -> None:
    """Make `%%oss` and `%oss` known to a shell: `%load_ext jupyter_mlx_gpt_oss`."""
    from jupyter_mlx_gpt_oss.magics.magics import register  # noqa: PLC0415  the server imports this package without IPython

    register(ipython)


def unload_ipython_extension(ipython: "InteractiveShell") -> None:
    """Take the magics away again: `%unload_ext jupyter_mlx_gpt_oss`."""
    from jupyter_mlx_gpt_oss.magics.magics import unregister  # noqa: PLC0415

    unregister(ipython)
