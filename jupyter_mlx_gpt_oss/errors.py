"""Every error that this package raises, as one tree.

GptOssError
    RequestError                      the caller can fix it
        InvalidRequestError      400  invalid_request_error; names the field
        ContextLengthError       400  context_length_exceeded; carries both numbers
        UnsupportedFeatureError  400  unsupported_parameter; names the field
        AuthenticationError      401  invalid_api_key
        PermissionDeniedError    403  permission_denied
        ModelNotFoundError       404  model_not_found
        NotFoundError            404  not_found
        MethodNotAllowedError    405  method_not_allowed
        RequestTooLargeError     413  request_too_large
    CapacityError                     try again later; sets Retry-After
        QueueFullError           429  rate_limit_exceeded
        ModelLoadingError        503  model_loading
        IdentityUnavailableError 503  identity_unavailable
    EngineError                       ours to fix
        ModelLoadError           500  model_load_failed; model, reason, remedy
        OutOfMemoryError         500  out_of_memory
        GenerationError          500  generation_failed
        EngineDeadError          503  engine_dead
        RemoteEngineError        502  remote_engine_failed
        ServerStoppingError      503  server_stopping
    ClientError                       raised in the kernel
        ServerNotFoundError           what was tried, how to start one
        ServerResponseError           status, code and message of the server's answer
        StreamInterruptedError        the stream ended before its finish reason
        MagicUsageError               a flag, tool or variable of %%oss that cannot be used
KeyboardInterrupt
    CellInterruptedError              the user interrupted a cell

A message says what was wrong, what was expected and what to do. It never holds a prompt or an answer.
`handlers/` turns an error into OpenAI's body, the worker turns an exception into a frame, the magics turn
an error into one line; no other place translates.
"""

import re
from typing import ClassVar

_FIELD_PATH = re.compile(r"[\w.\[\]]{1,100}", re.ASCII)


class GptOssError(Exception):
    """Any error of this package. `status` is the HTTP status it suggests, `code` OpenAI's error code."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    type: ClassVar[str] = "server_error"

    @property
    def message(self) -> str:
        """The text for a person."""
        return str(self)


class RequestError(GptOssError):
    """The request cannot be served as it is; the caller can change it.

    Args:
        message: what was wrong, what was expected, what to do.
        param: the field at fault, as a path such as `messages[2].content`.
    """

    status = 400
    code = "invalid_request_error"
    type = "invalid_request_error"
    quotes_request: ClassVar[bool] = True
    """Whether the message may have words of the client's; the log has none of it then."""

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


class InvalidRequestError(RequestError):
    """A field is missing, of the wrong type or out of range."""


class ContextLengthError(RequestError):
    """Prompt and answer do not fit into the model's context. A prompt far too long is estimated, not counted."""

    code = "context_length_exceeded"
    quotes_request = False

    def __init__(self, num_prompt_tokens: int, max_context_tokens: int, *, is_estimate: bool = False) -> None:
        about = "about " if is_estimate else ""
        super().__init__(
            f"The prompt has {about}{num_prompt_tokens} tokens, and the context holds {max_context_tokens} tokens, "
            "the answer included. Shorten the messages or start a new conversation.",
            param="messages",
        )
        self.num_prompt_tokens = num_prompt_tokens
        self.max_context_tokens = max_context_tokens


class UnsupportedFeatureError(RequestError):
    """The field is OpenAI's, and this server does not serve it."""

    code = "unsupported_parameter"


class AuthenticationError(RequestError):
    """No key, or a wrong one."""

    status = 401
    code = "invalid_api_key"
    quotes_request = False


class PermissionDeniedError(RequestError):
    """The caller is known, or its browser is, and may not do this."""

    status = 403
    code = "permission_denied"
    quotes_request = False


class ModelNotFoundError(RequestError):
    """No model of that id is served here."""

    status = 404
    code = "model_not_found"


class NotFoundError(RequestError):
    """No such route or item."""

    status = 404
    code = "not_found"


class MethodNotAllowedError(RequestError):
    """The route exists, and does not take this HTTP method."""

    status = 405
    code = "method_not_allowed"
    quotes_request = False


class RequestTooLargeError(RequestError):
    """The body, or the text of the prompt, has more bytes than the server takes."""

    status = 413
    code = "request_too_large"
    quotes_request = False


class CapacityError(GptOssError):
    """The server cannot take the request now; `retry_after_seconds` says when to try again."""

    status = 503
    code = "overloaded"

    def __init__(self, message: str, *, retry_after_seconds: int = 1) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class QueueFullError(CapacityError):
    """As many requests wait as may."""

    status = 429
    code = "rate_limit_exceeded"
    type = "rate_limit_error"


class ModelLoadingError(CapacityError):
    """The model is not ready yet."""

    code = "model_loading"


class IdentityUnavailableError(CapacityError):
    """The Hub, which knows who the caller is, does not answer."""

    code = "identity_unavailable"


class EngineError(GptOssError):
    """The engine could not do its work."""


class ModelLoadError(EngineError):
    """The model cannot be loaded; the next request tries again."""

    code = "model_load_failed"


class OutOfMemoryError(EngineError):
    """The model, or the request, needs more memory than there is."""

    code = "out_of_memory"


class GenerationError(EngineError):
    """A request failed inside the engine; the others go on."""

    code = "generation_failed"


class EngineDeadError(EngineError):
    """The engine process ended or stopped answering."""

    status = 503
    code = "engine_dead"


class RemoteEngineError(EngineError):
    """The remote engine refuses this server, or does not speak what it should."""

    status = 502
    code = "remote_engine_failed"


class ServerStoppingError(EngineError):
    """The notebook server is shutting down."""

    status = 503
    code = "server_stopping"


class ClientError(GptOssError):
    """Raised in the kernel, by the client or a magic."""

    def _render_traceback_(self) -> list[str]:
        """Stand in one line where IPython would show a traceback."""
        return [f"{type(self).__name__}: {self}"]


class ServerNotFoundError(ClientError):
    """No server with GPT-OSS was found; the message says where it was looked for."""

    code = "server_not_found"


class ServerResponseError(ClientError):
    """The server answered with an error.

    Args:
        message: the server's own message.
        status: the HTTP status; 200 when the error came inside a stream.
        code: OpenAI's error code, if the server gave one.
    """

    def __init__(self, message: str, *, status: int, code: str | None = None) -> None:
        super().__init__(message)
        self.response_status = status
        self.response_code = code


class StreamInterruptedError(ClientError):
    """The stream ended before the answer was complete; what arrived is kept."""

    code = "stream_interrupted"


class MagicUsageError(ClientError):
    """A flag, tool or variable given to %%oss cannot be used."""

    code = "magic_usage"


class CellInterruptedError(KeyboardInterrupt):
    """The user interrupted a cell; its generation is stopped, and what arrived is shown.

    It stays a KeyboardInterrupt: `except Exception` does not hold it, and Run All stops.
    """

    def _render_traceback_(self) -> list[str]:
        """Stand in one line where IPython would show a traceback."""
        return [f"Interrupted: {self}"]


def log_text(error: GptOssError) -> str:
    """Return the text for the log. It never quotes a request: of one at fault it has the code and the field's name."""
    if not isinstance(error, RequestError) or not error.quotes_request:
        return f"{error.code}: {error.message}"
    if error.param is None:
        return error.code
    return f"{error.code}: {error.param if _FIELD_PATH.fullmatch(error.param) else 'a field it made up'}"
