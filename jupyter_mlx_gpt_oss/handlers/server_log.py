"""Where the lines of this package go: into the server's log, and into a file if one is asked for; a line for each request.

No line above DEBUG holds a word of a prompt or an answer, and none here holds a query, in which a token may stand.
"""

import logging
from collections.abc import Callable
from logging.handlers import RotatingFileHandler
from typing import Any

from tornado.web import RequestHandler

from jupyter_mlx_gpt_oss.handlers.base import ApiHandler

MAX_FILE_BYTES = 25 * 1024 * 1024
NUM_OLD_FILES = 5
_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"

LogFunction = Callable[[RequestHandler], None]


class ServerLog:
    """Joins the package's log to a server's, until it is closed.

    Args:
        log: the extension's; the package's lines follow its level and go where its lines go.
        server_log: the server's.
    """

    def __init__(self, log: Any, server_log: Any) -> None:
        self._log = log
        self._server_log = server_log
        self._package_log = logging.getLogger("jupyter_mlx_gpt_oss")
        self._file: RotatingFileHandler | None = None

    def open(self, path: str, level: int | str) -> None:
        """Join the logs, and write lines to a file too, if there is a path.

        Args:
            path: of the file, or empty.
            level: of the least line in it; a server's own log hands all lines on, and leaves this to what takes them.

        Raises:
            OSError: the file cannot be written; the logs are joined all the same.
        """
        self._join(self._log)
        if path:
            self._file = RotatingFileHandler(
                path, maxBytes=MAX_FILE_BYTES, backupCount=NUM_OLD_FILES, encoding="utf-8"
            )
            self._file.setLevel(level)
            self._file.setFormatter(logging.Formatter(_FORMAT))
            for log in {id(log): log for log in (self._log, self._server_log)}.values():
                log.addHandler(self._file)

    def close(self) -> None:
        """Part the logs, and close the file."""
        self._join(logging.getLogger())
        if self._file is not None:
            for log in (self._log, self._server_log):
                log.removeHandler(self._file)
            self._file.close()
            self._file = None

    def _join(self, parent: Any) -> None:
        self._package_log.parent = parent
        self._package_log.setLevel(
            logging.NOTSET
        )  # loggers remember what their parents let through until a level is set


def with_access_lines(log_function: LogFunction, log: Any) -> LogFunction:
    """Return a log function for Tornado that also writes a line at INFO for each request to a route of this package."""

    def log_request(handler: RequestHandler) -> None:
        log_function(handler)
        if isinstance(handler, ApiHandler):
            request = handler.request
            log.info(
                "%s %s %d %.1f ms %s",
                request.method,
                request.path[:200],
                handler.get_status(),
                1000 * request.request_time(),
                handler.request_id,
            )

    return log_request
