"""A real shell with the magics, and a real server for them to talk to."""

import atexit
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import traitlets
from IPython.core.displaypub import DisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config
from typing_extensions import override

from tests.support.canned_server import KEY, CannedServer, canned_server


class Outputs(DisplayPublisher):
    """The outputs of the shell's cells as a notebook would hold them: an update replaces what it updates."""

    bundles: "traitlets.Dict[object, dict[str, str]]" = traitlets.Dict()
    num_messages = traitlets.Int()
    changed = traitlets.Instance(threading.Condition, ())

    @override
    def publish(
        self,
        data: Any,
        metadata: Any = None,
        source: Any = None,
        *,
        transient: Any = None,
        update: Any = False,
        **kwargs: Any,
    ) -> None:
        with self.changed:
            display_id = (transient or {}).get("display_id", object())
            assert update == (display_id in self.bundles)
            self.bundles[display_id] = data
            self.num_messages += 1
            self.changed.notify_all()

    @property
    def html(self) -> str:
        return "\n".join(bundle["text/html"] for bundle in self.bundles.values())

    @property
    def text(self) -> str:
        return "\n".join(bundle["text/plain"] for bundle in self.bundles.values())

    def clear(self) -> None:
        self.bundles.clear()
        self.num_messages = 0


class Notebook(InteractiveShell):
    """A shell whose cells have ids, as JupyterLab's have."""

    request: "traitlets.Dict[str, Any]" = traitlets.Dict()
    num_runs = traitlets.Int()

    def get_parent(self) -> dict[str, Any]:
        return self.request

    def run(self, source: str, cell_id: str | None = None) -> BaseException | None:
        """Run a cell, and return what it raised."""
        self.num_runs += 1
        metadata = {} if cell_id is None else {"cellId": cell_id}
        self.request = {"header": {"msg_id": str(self.num_runs)}, "metadata": metadata}
        run_cell: Any = self.run_cell
        result = run_cell(source, store_history=True)
        error: BaseException | None = result.error_before_exec or result.error_in_exec
        return error

    @property
    def outputs(self) -> Outputs:
        publisher = self.display_pub
        assert isinstance(publisher, Outputs)
        return publisher


class Asked:
    """A user who answers every question."""

    def __init__(self, notebook: Notebook, reply: str | type[Exception]) -> None:
        self.notebook = notebook
        self.reply = reply
        self.seen: list[tuple[str, str]] = []

    def __call__(self, question: str) -> str:
        self.seen.append((question, self.notebook.outputs.text))
        if isinstance(self.reply, str):
            return self.reply
        raise self.reply


def ask(notebook: Notebook, monkeypatch: pytest.MonkeyPatch, reply: Any) -> Asked:
    asked = Asked(notebook, reply)
    monkeypatch.setattr("builtins.input", asked)
    return asked


@pytest.fixture(autouse=True)
def hears_ctrl_c() -> Iterator[None]:
    """A process that a shell has started in the background does not."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def forget(shell: Any) -> None:
    """Let go of a shell: what it does at the end of the process would be done for those of all tests."""
    shell.restore_sys_module_state()
    atexit.unregister(shell.atexit_operations)


@pytest.fixture
def server() -> Iterator[CannedServer]:
    with canned_server() as canned:
        yield canned


@pytest.fixture
def notebook(server: CannedServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Notebook]:
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("JUPYTER_MLX_GPT_OSS_URL", server.url)
    monkeypatch.setenv("JUPYTER_MLX_GPT_OSS_KEY", KEY)
    config = Config()
    config.HistoryManager.enabled = False
    make_notebook: Callable[..., Notebook] = Notebook
    shell = make_notebook(config=config, display_pub_class=Outputs)
    shell.run_line_magic("load_ext", "jupyter_mlx_gpt_oss")
    yield shell
    shell.run_line_magic("unload_ext", "jupyter_mlx_gpt_oss")
    forget(shell)
