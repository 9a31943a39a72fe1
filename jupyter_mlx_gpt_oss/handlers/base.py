"""What every route shares: its work ends when the client goes, and its errors are OpenAI's bodies."""

import asyncio
import json
from collections.abc import Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from secrets import token_hex
from types import TracebackType
from typing import Any, TypeVar

from tornado import web
from typing_extensions import override

from jupyter_mlx_gpt_oss.errors import (
    AuthenticationError,
    CapacityError,
    GptOssError,
    MethodNotAllowedError,
    RequestTooLargeError,
    ServerStoppingError,
)
from jupyter_mlx_gpt_oss.handlers.access import AccessHandler
from jupyter_mlx_gpt_oss.handlers.error_translation import error_of, log_of
from jupyter_mlx_gpt_oss.handlers.open_requests import OpenRequests
from jupyter_mlx_gpt_oss.handlers.recent_requests import RecentRequests
from jupyter_mlx_gpt_oss.protocol.error_body import error_body
from jupyter_mlx_gpt_oss.serving.config import ServingConfig
from jupyter_mlx_gpt_oss.serving.service import Service

Result = TypeVar("Result")
_LINGER_SECONDS = 5.0
_CLIENT_GONE = 499  # nginx's status for a client that closed its connection; only the log sees it


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """What the handlers are given."""

    service: Service
    open_requests: OpenRequests
    config: ServingConfig
    api_key: str
    """The scoped key."""
    recent_requests: RecentRequests = field(default_factory=RecentRequests)


@web.stream_request_body
class ApiHandler(AccessHandler):
    """Base of every route below `gpt-oss/`. Its body arrives after `prepare`: no stranger's is kept, and no huge one."""

    door: Door
    route: str
    _outcome = "ok"
    _task: asyncio.Task[Any] | None = None
    _is_client_gone = False
    _is_lingering = False

    @override
    def initialize(self, door: Door, route: str) -> None:
        """Take what the routes work with, and this one's name; Tornado calls this for each request."""
        self.door = door
        self.route = route
        self._body = bytearray()
        self._num_body_bytes = 0
        self.look_at_key(door.api_key)

    @cached_property
    def request_id(self) -> str:
        """Names this request in its answer and in the log."""
        return f"req_{token_hex(8)}"

    @override
    def set_default_headers(self) -> None:
        """Add the request's id to Jupyter's headers."""
        super().set_default_headers()
        self.set_header("X-Request-Id", self.request_id)

    @override
    async def prepare(self, **kwargs: Any) -> None:
        """Let the caller in, and refuse a body that says it is too large before any of it is read.

        Raises:
            RequestTooLargeError: it is larger than `GptOssServing.max_body_bytes`; and what `AccessHandler.prepare`
                raises.
        """
        await super().prepare(**kwargs)
        announced = self.request.headers.get("Content-Length", "")
        if announced.isdecimal():
            self._count_body(int(announced))

    @override
    def data_received(self, chunk: bytes) -> None:
        """Keep a piece of the body, unless it is one too many."""
        if self._is_lingering:  # it was answered already
            return
        self._num_body_bytes += len(chunk)
        if self._num_body_bytes <= self.door.config.max_body_bytes:
            self._body += chunk

    def read_body(self) -> bytes:
        """Return the request's body.

        Raises:
            RequestTooLargeError: it is larger than `GptOssServing.max_body_bytes`, and did not say so before.
        """
        self._count_body(self._num_body_bytes)
        return bytes(self._body)

    def _count_body(self, num_bytes: int) -> None:
        limit = self.door.config.max_body_bytes
        if num_bytes > limit:
            raise RequestTooLargeError(f"The body has {num_bytes} bytes; at most {limit} are taken.")

    async def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Do the request's work, which is cancelled when the client goes or the server stops.

        Raises:
            ServerStoppingError: the server stops.
            tornado.web.Finish: the client has gone; nobody is left to answer.
        """
        if self._is_client_gone:  # while the request was read
            work.close()
            raise web.Finish
        self._task = self.door.open_requests.start(work)
        try:
            return await self.door.open_requests.wait(self._task)
        except asyncio.CancelledError:
            if not self._is_client_gone:
                raise
            raise web.Finish from None

    def touch_activity(self) -> None:
        """Tell Jupyter that the server is in use: a culler looks at this, and an answer can take long."""
        self.settings["last_activity_times"]["jupyter_mlx_gpt_oss"] = datetime.now(UTC)

    @override
    def on_connection_close(self) -> None:
        """Abort the work: the client has gone."""
        super().on_connection_close()
        self._is_client_gone = True
        if not self._headers_written:
            self.set_status(_CLIENT_GONE, "Client Closed Request")
        if self._task is not None:
            self._task.cancel()

    @override
    def on_finish(self) -> None:
        """Count the request, and take it off the open ones."""
        super().on_finish()
        if self.request.method != "OPTIONS":
            outcome = "client_gone" if self._is_client_gone else self._outcome
            self.door.service.metrics.count_request(self.route, outcome)
            self._remember(outcome)
        if self._task is not None:
            self.door.open_requests.answered()

    @override
    def finish(self, *args: Any, **kwargs: Any) -> "asyncio.Future[None]":
        """Finish the answer; Tornado does so with every error, and has to wait while its request is still coming."""
        if self._is_lingering:
            return asyncio.get_running_loop().create_future()
        return super().finish(*args, **kwargs)

    @override
    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer with OpenAI's error body."""
        error = self.error_of_failure(status_code, **kwargs)
        self.set_status(error.status)
        if hasattr(self, "_jupyter_current_user"):  # it is asked for, and has failed, before it is there
            self.set_cors_headers()  # send_error has dropped them, and without them a page cannot read the error
        if isinstance(error, AuthenticationError):
            self.set_header("WWW-Authenticate", "Bearer")
        if not self.request._body_future.done():  # noqa: SLF001  Tornado closes such a connection, and does not say so
            self.set_header("Connection", "close")
        if isinstance(error, CapacityError):
            self.set_header("Retry-After", str(error.retry_after_seconds))
        if isinstance(error, MethodNotAllowedError):
            served = (name for name in ("get", "post", "delete") if self._serves(name))
            self.set_header("Allow", ", ".join(served).upper())
        self._finish_error(json.dumps(error_body(error)))

    def error_of_failure(self, status_code: int, **kwargs: Any) -> GptOssError:
        """Return what a failed request is answered with; the arguments are those of `send_error`."""
        exc_info = kwargs.get("exc_info")
        error = error_of(exc_info[1] if exc_info else web.HTTPError(status_code), self.request_id)
        self._outcome = error.code
        return error

    @override
    def log_exception(
        self, typ: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None
    ) -> None:
        """Log a failed request without a word of its body."""
        del typ
        if value is not None:
            level, text = log_of(value, tb)
            self.log.log(level, "%s: %s", self.request_id, text)

    def _finish_error(self, body: str) -> None:
        """Send an error's body; where the request's own is still coming, keep the connection until it is over.

        To close it earlier would reset it, and take the error away from a client that first sends all it has.
        """
        if self.request._body_future.done() or not self._is_body_coming():  # noqa: SLF001  Tornado tells no other way
            self.finish(body)
            return
        self.set_header("Content-Type", "application/json")
        self.set_header("Content-Length", len(body))
        self.write(body)
        self.flush()
        try:
            self._task = self.door.open_requests.start(self._finish_after_body())
        except ServerStoppingError:
            self.finish()
        else:
            self._is_lingering = True

    def _is_body_coming(self) -> bool:
        headers = self.request.headers
        has_body = headers.get("Content-Length", "0") != "0" or "Transfer-Encoding" in headers
        return has_body and "Expect" not in headers  # who asks first does not send it now

    async def _finish_after_body(self) -> None:
        try:
            await asyncio.wait({self.request._body_future}, timeout=_LINGER_SECONDS)  # noqa: SLF001
        finally:
            self._is_lingering = False
            self.finish()

    def _remember(self, outcome: str) -> None:
        if self._track_activity:  # a page or a monitor that asks again and again would push all else out
            self.door.recent_requests.add(
                method=str(self.request.method),
                route=self.route,
                outcome=outcome,
                seconds=self.request.request_time(),
            )

    def _serves(self, name: str) -> bool:
        return getattr(type(self), name) is not getattr(web.RequestHandler, name)
