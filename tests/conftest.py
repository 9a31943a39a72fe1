"""A Jupyter server for whoever asks for one, with a scripted engine behind the routes."""

import asyncio
import gc
from collections.abc import Iterator
from typing import Any

import pytest
from jupyter_core.utils import ensure_event_loop
from jupyter_server.serverapp import ServerApp

from jupyter_mlx_gpt_oss.app import GptOss
from tests.support.http_client import Fetch, HttpClient
from tests.support.scripted_engine import ScriptedEngine

pytest_plugins = ["pytest_jupyter.jupyter_server", "tests.support.checkpoints"]
_LONG = {"check", "e2e", "engine", "faults", "hub", "worker"}  # folders whose files take longest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest: else one process would work alone at the end."""
    items.sort(key=lambda item: item.path.parent.name not in _LONG)


def pytest_collection_finish() -> None:
    """Spare the garbage collector what lives as long as the process: it took a sixth of the time to look through that."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def jp_asyncio_loop() -> Iterator[asyncio.AbstractEventLoop | None]:
    """A loop for the test; none while a browser is open, whose own runs from one test to the next."""
    if _is_loop_running():
        yield None
        return
    loop = ensure_event_loop()
    yield loop
    loop.close()


def _is_loop_running() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


@pytest.fixture(autouse=True)
def jp_server_cleanup(jp_asyncio_loop: Any) -> Iterator[None]:
    """Stop the test's server. pytest-jupyter's own fixture makes one for every test, only to stop it."""
    yield
    if not ServerApp.initialized():
        return
    server = ServerApp.instance()
    jp_asyncio_loop.run_until_complete(server._cleanup())
    server.kernel_manager.context.destroy()
    ServerApp.clear_instance()


@pytest.fixture
def gpt_oss_config() -> dict[str, Any]:
    """Options of a test's server, by class; a test overrides this fixture."""
    return {}


@pytest.fixture
def jp_server_config(gpt_oss_config: dict[str, Any]) -> dict[str, Any]:
    """Configure the server: our extension, with a scripted engine, and every fault of it raised."""
    config: dict[str, Any] = {
        "ServerApp": {
            "jpserver_extensions": {"jupyter_mlx_gpt_oss": True},
            "reraise_server_extension_failures": True,
        },
        "GptOss": {"engine_class": "tests.support.scripted_engine.ScriptedEngine"},
    }
    for name, options in gpt_oss_config.items():
        config.setdefault(name, {}).update(options)
    return config


@pytest.fixture
def gpt_oss(jp_serverapp: ServerApp) -> GptOss:
    """The extension in the test's server."""
    (app,) = jp_serverapp.extension_manager.extension_apps["jupyter_mlx_gpt_oss"]
    assert isinstance(app, GptOss)
    return app


@pytest.fixture
def engine(gpt_oss: GptOss) -> ScriptedEngine:
    """The engine behind the routes."""
    engine = gpt_oss.service.engine
    assert isinstance(engine, ScriptedEngine)
    return engine


@pytest.fixture
def http(jp_fetch: Fetch) -> HttpClient:
    """A client of the test's server."""
    return HttpClient(jp_fetch)
