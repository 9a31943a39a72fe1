"""A real Jupyter server for suites and clients in processes of their own."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.jupyter_process import JupyterProcess, jupyter_process

KEY = "My API Key"  # what the openai package's own tests send
_ROOT = Path(__file__).parents[2]
_ABLE = "--GptOss.engine_class=tests.support.able_engine.AbleEngine"


@contextmanager
def server_for_others(home: Path, *, is_demo: bool = False) -> Iterator[JupyterProcess]:
    """Start a server in an empty home, and stop it at the end.

    Args:
        home: of the server.
        is_demo: answer with the embedded model, not with an engine that does what it is asked.
    """
    os.environ["PYTHONPATH"] = os.pathsep.join([str(_ROOT), os.environ.get("PYTHONPATH", "")])
    options = ("--GptOss.preload=True",) if is_demo else (_ABLE, "--GptOssEngine.context_length=131072")
    with jupyter_process(home, "server", *options, f"--GptOss.api_key={KEY}", "--port=0") as server:
        yield server
