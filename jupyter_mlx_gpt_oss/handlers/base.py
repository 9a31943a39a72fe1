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
)
from jupyter_mlx_gpt_oss.handlers.access import AccessHandler
from jupyter_mlx_gpt_oss.handlers.error_translation import error_of, log_of
from jupyter_mlx_gpt_oss.handlers.open_requests import OpenRequests
from jupyter_mlx_gpt_oss.handlers.recent_requests import RecentRequests
from jupyter_mlx_gpt_oss.protocol.error_body import error_body
from jupyter_mlx_gpt_oss.serving.config import ServingConfig
from jupyter_mlx_gpt_oss.serving.service import Service

Result = TypeVar("Result")
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


class ApiHandler(AccessHandler):
    """Base of every route below `gpt-oss/`."""

    door: Door
    route: str
    _outcome = "ok"
    _task: asyncio.Task[Any] | None = None
    _is_client_gone = False

    @override
    def initialize(self, door: Door, route: str) -> None:
        """Take what the routes work with, and this one's name; Tornado calls this for each request."""
        self.door = door
        self.route = route
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

    def read_body(self) -> bytes:
        """Return the request's body.

        Raises:
            RequestTooLargeError: it is larger than `GptOssServing.max_body_bytes`.
        """
        body: bytes = self.request.body
        if len(body) > self.door.config.max_body_bytes:
            message = f"The body has {len(body)} bytes; at most {self.door.config.max_body_bytes} are taken."
            raise RequestTooLargeError(message)
        return body

    async def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Do the request's work, which is cancelled when the client goes or the server stops.

        Raises:
            ServerStoppingError: the server stops.
            tornado.web.Finish: the client has gone; nobody is left to answer.
        """
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
    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer with OpenAI's error body."""
        error = self.error_of_failure(status_code, **kwargs)
        self.set_status(error.status)
        if hasattr(self, "_jupyter_current_user"):  # it is asked for, and has failed, before it is there
            self.set_cors_headers()  # send_error has dropped them, and without them a page cannot read the error
        if isinstance(error, AuthenticationError):
            self.set_header("WWW-Authenticate", "Bearer")
        if isinstance(error, CapacityError):
            self.set_header("Retry-After", str(error.retry_after_seconds))
        if isinstance(error, MethodNotAllowedError):
            served = (name for name in ("get", "post", "delete") if self._serves(name))
            self.set_header("Allow", ", ".join(served).upper())
        self.finish(json.dumps(error_body(error)))

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
