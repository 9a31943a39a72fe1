r"""Commands and reports between the notebook server and the engine process, as lines of JSON.

One frame is one JSON object on one line, over a private socket pair. Commands go to the worker, reports come back.
Knows neither asyncio nor MLX. A line that is no frame is a fault of the other side and raises FrameError.
"""

from typing import Any

import msgspec

from jupyter_mlx_gpt_oss.engine.base import ModelInfo
from jupyter_mlx_gpt_oss.engine.config import EngineConfig
from jupyter_mlx_gpt_oss.engine.request import FinishReason, GenerationRequest, Progress, TokenLogprobs

MAX_FRAME_BYTES = 64 * 1024 * 1024
"""A prompt of 131,072 token ids takes about 1 MB."""


class FrameError(Exception):
    """The other side sent what is no frame."""


class Start(msgspec.Struct, tag="start", frozen=True):
    """Command, the first: load the model of this config."""

    config: EngineConfig


class Generate(msgspec.Struct, tag="generate", frozen=True):
    """Command: put a request into the queue."""

    request: GenerationRequest


class Abort(msgspec.Struct, tag="abort", frozen=True):
    """Command: drop a request wherever it is; unknown ids are ignored."""

    request_id: str


class Precompute(msgspec.Struct, tag="precompute", frozen=True):
    """Command: read a prompt ahead while idle; the next Generate or Precompute drops it."""

    prompt_token_ids: tuple[int, ...]


class LoadProgress(msgspec.Struct, tag="load_progress", frozen=True):
    """Report: how far loading is."""

    progress: Progress


class Loaded(msgspec.Struct, tag="loaded", frozen=True):
    """Report: the model is ready."""

    model: ModelInfo


class LoadFailed(msgspec.Struct, tag="load_failed", frozen=True):
    """Report, the last: the model cannot be loaded, the process ends."""

    code: str
    """Of a ModelLoadError or an OutOfMemoryError."""
    message: str


class RequestOutput(msgspec.Struct, frozen=True, array_like=True):
    """The news of one request in a step."""

    request_id: str
    token_ids: tuple[int, ...] = ()
    finish_reason: FinishReason | None = None
    num_cached_tokens: int = 0
    progress: Progress | None = None
    logprobs: tuple[TokenLogprobs, ...] = ()


class RequestFailed(msgspec.Struct, tag="request_failed", frozen=True):
    """Report: a request failed, the others go on."""

    request_id: str
    code: str
    message: str
    param: str | None = None
    """The field at fault, where the request is."""


class StepDone(msgspec.Struct, tag="step", frozen=True):
    """Report: one step was made; news of every request that has any."""

    outputs: tuple[RequestOutput, ...]
    num_running: int
    num_waiting: int
    memory_bytes: int
    prefix_cache_bytes: int
    step_seconds: float
    live_kv_bytes: int = 0
    snapshot_bytes: int = 0


Command = Start | Generate | Abort | Precompute
Report = LoadProgress | Loaded | LoadFailed | RequestFailed | StepDone

_encoder = msgspec.json.Encoder()
_command_decoder: msgspec.json.Decoder[Command] = msgspec.json.Decoder(Command)
_report_decoder: msgspec.json.Decoder[Report] = msgspec.json.Decoder(Report)


def encode(frame: Command | Report) -> bytes:
    """Return the frame's line, its newline included."""
    return _encoder.encode(frame) + b"\n"


def decode_command(line: bytes) -> Command:
    """Return the command on a line.

    Raises:
        FrameError: the line is no command.
    """
    command: Command = _decode(_command_decoder, line)
    return command


def decode_report(line: bytes) -> Report:
    """Return the report on a line.

    Raises:
        FrameError: the line is no report.
    """
    report: Report = _decode(_report_decoder, line)
    return report


def _decode(decoder: msgspec.json.Decoder[Any], line: bytes) -> Any:
    try:
        return decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise FrameError(f"not a frame, {len(line)} bytes: {error}") from error
