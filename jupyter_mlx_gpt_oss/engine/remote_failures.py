"""What another server says went wrong, to an error of this package: whose fault it is stays as it was."""

import math
import re
from collections.abc import Mapping

import msgspec

from jupyter_mlx_gpt_oss.engine.remote_wire import WireError
from jupyter_mlx_gpt_oss.errors import (
    ContextLengthError,
    EngineDeadError,
    GenerationError,
    GptOssError,
    InvalidRequestError,
    ModelLoadError,
    ModelLoadingError,
    OutOfMemoryError,
    QueueFullError,
    RemoteEngineError,
    RequestTooLargeError,
    ServerStoppingError,
    UnsupportedFeatureError,
)

_MAX_MESSAGE_CHARS = 400
_UNANSWERED = (502, 503, 504)
# What this side's callers call the fields that a server was sent; a grammar was made of several.
_OWN_NAMES: dict[str, str | None] = {
    "prompt": "messages",
    "structured_outputs": None,
    "structured_outputs.grammar": None,
}
_NUMBERS = re.compile(r"(\d{1,18})\D+(\d{1,18})")  # tokens of the prompt, then of the context
_BY_CODE: dict[int | str | None, type[GptOssError]] = {
    error.code: error
    for error in (EngineDeadError, GenerationError, ModelLoadError, OutOfMemoryError, RemoteEngineError)
}
_STATUS_OF_CODE: dict[int | str | None, int] = {
    error.code: error.status
    for error in (
        *(ContextLengthError, InvalidRequestError, RequestTooLargeError, UnsupportedFeatureError),
        *(ModelLoadingError, QueueFullError, ServerStoppingError),
    )
}


class _Body(msgspec.Struct):
    error: WireError = WireError()


def error_of(status: int, body: bytes, headers: Mapping[str, str]) -> GptOssError:
    """Return the error of an answer.

    Args:
        status: HTTP's; where the error came inside a stream, 500, and its code may be another.
        body: OpenAI's shape, or anything.
        headers: of the answer.
    """
    told = _told(body)
    if isinstance(told.code, int):
        status = told.code
    elif told.code in _STATUS_OF_CODE:  # a server of this package
        status = _STATUS_OF_CODE[told.code]
    message = told.message[:_MAX_MESSAGE_CHARS] or f"The remote engine answered with status {status}."
    match status:
        case 400 | 413 | 422:
            return _refusal(told, message)
        case 429:
            return QueueFullError(message, retry_after_seconds=_retry_after(headers))
        case 401 | 403 | 404 | 405:
            return RemoteEngineError(f"The remote engine refuses this server: {message}")
    if told.code in _BY_CODE:
        return _BY_CODE[told.code](message)
    return EngineDeadError(message) if status in _UNANSWERED else GenerationError(message)


def _refusal(told: WireError, message: str) -> GptOssError:
    """Return the error of a request that the server does not take."""
    numbers = _NUMBERS.search(message)
    if told.code == ContextLengthError.code and numbers:
        return ContextLengthError(int(numbers[1]), int(numbers[2]), is_estimate=" about " in message)
    param = _OWN_NAMES.get(told.param or "", told.param)
    is_unsupported = told.code == UnsupportedFeatureError.code
    return (UnsupportedFeatureError if is_unsupported else InvalidRequestError)(message, param=param)


def lost(url: str, reason: object) -> EngineDeadError:
    """Return the error of a server that does not answer, or stopped to."""
    said = str(reason) or type(reason).__name__
    return EngineDeadError(f"The remote engine at {url} does not answer: {said[:200]}. Try again.")


def _told(body: bytes) -> WireError:
    try:
        return msgspec.json.decode(body, type=_Body).error
    except msgspec.DecodeError:
        return WireError()


def _retry_after(headers: Mapping[str, str]) -> int:
    try:
        return max(1, math.ceil(float(headers.get("Retry-After", "1"))))
    except (ValueError, OverflowError):
        return 1
