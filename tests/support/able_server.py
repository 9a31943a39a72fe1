"""A real Jupyter server whose engine does what it is asked, for programs of others."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.jupyter_process import JupyterProcess, jupyter_process

KEY = "My API Key"  # what the openai package's own tests send
_ROOT = Path(__file__).parents[2]


@contextmanager
def able_server(home: Path, engine: str = "tests.support.able_engine.AbleEngine") -> Iterator[JupyterProcess]:
    """Start a server in an empty home, and stop it at the end; `engine` names the class of its engine."""
    os.environ["PYTHONPATH"] = os.pathsep.join([str(_ROOT), os.environ.get("PYTHONPATH", "")])
    options = (
        f"--GptOss.engine_class={engine}",
        f"--GptOss.api_key={KEY}",
        "--GptOssEngine.context_length=131072",
        "--port=0",
    )
    with jupyter_process(home, "server", *options) as server:
        yield server
