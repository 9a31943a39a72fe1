"""A server extension that turns its server's event loop into how late it was: what `gpt-oss-lag` answers, in milliseconds."""

import asyncio
import json
import time
from typing import Any

from jupyter_server.base.handlers import APIHandler
from jupyter_server.serverapp import ServerApp
from jupyter_server.utils import url_path_join
from tornado import web
from typing_extensions import override

_TICK_SECONDS = 0.01


class Probe:
    """Wakes every ten milliseconds, and notes how much later it was than that."""

    def __init__(self) -> None:
        self._lags: list[float] = []

    async def run(self) -> None:
        """Measure for ever."""
        while True:
            start = time.perf_counter()
            await asyncio.sleep(_TICK_SECONDS)
            self._lags.append(1000 * (time.perf_counter() - start - _TICK_SECONDS))

    def take(self) -> list[float]:
        """Return what was measured since the last time."""
        taken, self._lags = self._lags, []
        return taken


class LagHandler(APIHandler):
    """Answers with the lags since the last answer."""

    @override
    def initialize(self, probe: Probe) -> None:
        """Keep the probe."""
        self._probe = probe

    @web.authenticated
    @override
    def get(self) -> None:
        """Answer."""
        self.finish(json.dumps(self._probe.take()))


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    return [{"module": __name__}]


async def _start_jupyter_server_extension(serverapp: ServerApp) -> None:
    probe = Probe()
    path = url_path_join(serverapp.web_app.settings["base_url"], "gpt-oss-lag")
    serverapp.web_app.add_handlers(".*$", [(path, LagHandler, {"probe": probe})])  # type: ignore[no-untyped-call]
    serverapp.web_app.settings["lag_probe"] = asyncio.create_task(probe.run())


def _load_jupyter_server_extension(serverapp: ServerApp) -> None:
    """Do nothing yet: there is no event loop before the server has started."""
