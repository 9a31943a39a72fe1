"""A JupyterHub's routes to a proxy in the Hub's own process: JupyterHub's own is a Node program. It carries HTTP alone."""

import asyncio
from typing import Any
from urllib.parse import urlsplit

import httpx
from jupyterhub.proxy import Proxy  # type: ignore[import-untyped]
from tornado import web
from tornado.httpserver import HTTPServer
from typing_extensions import override

_OWN_HEADERS = {"connection", "content-encoding", "content-length", "transfer-encoding"}


class LoopbackProxy(Proxy):  # type: ignore[misc]  # JupyterHub has no types
    """Listens at `JupyterHub.bind_url`."""

    should_start = True

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.routes: dict[str, dict[str, Any]] = {}
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
        self.client = httpx.AsyncClient(timeout=None, limits=limits, trust_env=False)
        self._server = HTTPServer(web.Application([(r"/.*", _Forward, {"proxy": self})]))

    async def start(self) -> None:
        port = urlsplit(self.public_url).port
        assert port is not None, "the configuration names one"
        self._server.listen(port, "127.0.0.1")

    async def stop(self) -> None:
        self._server.stop()
        await self.client.aclose()

    async def add_route(self, routespec: str, target: str, data: dict[str, Any]) -> None:
        self.routes[routespec] = {"routespec": routespec, "target": target, "data": data}

    async def delete_route(self, routespec: str) -> None:
        self.routes.pop(routespec, None)

    async def get_all_routes(self) -> dict[str, dict[str, Any]]:
        return self.routes

    def target_of(self, path: str) -> str:
        """Return where a path leads: the longest route that it begins with."""
        route = max((route for route in self.routes if path.startswith(route)), key=len)
        target: str = self.routes[route]["target"]
        return target


class _Forward(web.RequestHandler):
    SUPPORTED_METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS")
    _task: asyncio.Task[None] | None = None

    @override
    def initialize(self, proxy: LoopbackProxy) -> None:
        self.proxy = proxy

    @override
    def check_xsrf_cookie(self) -> None:
        """Leave it to whoever is asked."""

    @override
    async def prepare(self) -> None:
        self._task = asyncio.ensure_future(self._forward())
        (error,) = await asyncio.gather(self._task, return_exceptions=True)
        if self._finished:
            return
        if not self._headers_written:  # nobody listens there
            self.set_status(502)
            self.write(str(error))
        self.finish()

    @override
    def on_connection_close(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _forward(self) -> None:
        parts = urlsplit(self.proxy.target_of(self.request.path))
        url = f"{parts.scheme}://{parts.netloc}{self.request.uri}"
        headers = [(name, value) for name, value in self.request.headers.get_all() if _is_passed_on(name)]
        method, content = self.request.method or "GET", self.request.body
        async with self.proxy.client.stream(method, url, content=content, headers=headers) as answer:
            self.set_status(answer.status_code)
            for name, value in answer.headers.multi_items():
                if _is_passed_on(name):
                    self.add_header(name, value)
            async for piece in answer.aiter_bytes():
                self.write(piece)
                await self.flush()
        await self.finish()


def _is_passed_on(name: str) -> bool:
    return name.lower() not in _OWN_HEADERS
