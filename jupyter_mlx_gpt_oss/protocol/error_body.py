"""Turn an error of this package into OpenAI's body: {"error": {message, type, param, code}}."""

from typing import TypedDict

from jupyter_mlx_gpt_oss.errors import GptOssError, RequestError


class ErrorDetails(TypedDict):
    """What OpenAI's clients read of an error."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorBody(TypedDict):
    """The one shape of every error, as a whole answer or as the last frame of a stream."""

    error: ErrorDetails


def error_body(error: GptOssError) -> ErrorBody:
    """Return the body for an error; `param` is the field at fault, if the error names one."""
    param = error.param if isinstance(error, RequestError) else None
    return {"error": {"message": error.message, "type": error.type, "param": param, "code": error.code}}
