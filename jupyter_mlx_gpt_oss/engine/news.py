"""What the worker reports of one request, to what its stream is told."""

from jupyter_mlx_gpt_oss.engine.frames import RequestFailed, RequestOutput
from jupyter_mlx_gpt_oss.engine.request import Progress, TokenOutput
from jupyter_mlx_gpt_oss.errors import (
    EngineError,
    GenerationError,
    GptOssError,
    InvalidRequestError,
    ModelLoadError,
    OutOfMemoryError,
)

_ERRORS: dict[str, type[EngineError]] = {
    error.code: error for error in (ModelLoadError, OutOfMemoryError, GenerationError)
}


def load_failure(code: str, message: str) -> EngineError:
    """Return the error of a model that cannot be loaded."""
    return _ERRORS.get(code, ModelLoadError)(message)


def failure(report: RequestFailed) -> GptOssError:
    """Return the error of a request that failed."""
    if report.code == InvalidRequestError.code:
        return InvalidRequestError(report.message, param=report.param)
    return _ERRORS.get(report.code, GenerationError)(report.message)


def news(output: RequestOutput) -> Progress | TokenOutput:
    """Return how far a request has come, or its next tokens."""
    if output.progress is not None:
        return output.progress
    return TokenOutput(
        token_ids=output.token_ids,
        finish_reason=output.finish_reason,
        num_cached_tokens=output.num_cached_tokens,
        logprobs=output.logprobs,
    )
