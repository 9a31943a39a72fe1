"""Whatever ended a request to an error of this package, and to a line for the log that holds no prompt."""

import logging
import traceback
from http import HTTPStatus
from types import TracebackType

from tornado import web

from jupyter_mlx_gpt_oss.errors import (
    AuthenticationError,
    GptOssError,
    InvalidRequestError,
    MethodNotAllowedError,
    NotFoundError,
    PermissionDeniedError,
    RequestError,
    RequestTooLargeError,
    log_text,
)

_FIRST_FAULT = 500  # statuses from here on are the server's fault
_BY_STATUS: dict[int, type[RequestError]] = {
    error.status: error
    for error in (
        InvalidRequestError,
        AuthenticationError,
        PermissionDeniedError,
        NotFoundError,
        MethodNotAllowedError,
        RequestTooLargeError,
    )
}


def error_of(exception: BaseException, request_id: str) -> GptOssError:
    """Return the error to answer with; one that was not foreseen says nothing but where the log has it."""
    if isinstance(exception, GptOssError):
        return exception
    if isinstance(exception, web.HTTPError) and exception.status_code in _BY_STATUS:
        return _BY_STATUS[exception.status_code](_message_of(exception))
    return GptOssError(f"Internal error. The server's log has it under {request_id}.")


def log_of(exception: BaseException, where: TracebackType | None) -> tuple[int, str]:
    """Return level and text for the log.

    SAFETY: the text of an unforeseen exception may quote the request, so only its type and place are told.
    """
    if isinstance(exception, RequestError):
        return logging.INFO, log_text(exception)
    if isinstance(exception, GptOssError):
        return logging.WARNING, log_text(exception)
    if isinstance(exception, web.HTTPError):
        return logging.WARNING if exception.status_code >= _FIRST_FAULT else logging.INFO, str(exception)
    return logging.ERROR, "".join([f"{type(exception).__name__}\n", *traceback.format_tb(where)])


def _message_of(error: web.HTTPError) -> str:
    if error.log_message:
        return error.log_message % error.args if error.args else error.log_message
    return f"{HTTPStatus(error.status_code).phrase}."
