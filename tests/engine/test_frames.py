"""Frames survive the wire, and what is no frame is told as such."""

import pytest

from jupyter_mlx_gpt_oss.engine.base import ModelInfo
from jupyter_mlx_gpt_oss.engine.config import EngineConfig
from jupyter_mlx_gpt_oss.engine.frames import (
    Abort,
    Command,
    FrameError,
    Generate,
    Loaded,
    LoadFailed,
    LoadProgress,
    Precompute,
    Report,
    RequestFailed,
    RequestOutput,
    Start,
    StepDone,
    decode_command,
    decode_report,
    encode,
)
from jupyter_mlx_gpt_oss.engine.request import FinishReason, GenerationRequest, Progress, ProgressStage
from jupyter_mlx_gpt_oss.engine.sampling import SamplingParams

MODEL = ModelInfo(
    name="demo",
    context_length=4096,
    quantization=None,
    vocabulary_size=201_088,
    is_demo=True,
    weight_bytes=1,
    device="cpu",
)
REQUEST = GenerationRequest(
    request_id="a",
    prompt_token_ids=(200_006, 1),
    max_tokens=9,
    stop_token_ids=(200_002,),
    sampling=SamplingParams(seed=2**63 - 1, logit_bias={5: -1.5}),
)


@pytest.mark.parametrize(
    "command", [Start(EngineConfig()), Generate(REQUEST), Abort("a"), Precompute((1, 2))]
)
def test_a_command_comes_out_as_it_went_in(command: Command) -> None:
    line = encode(command)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert decode_command(line) == command


@pytest.mark.parametrize(
    "report",
    [
        LoadProgress(Progress(stage=ProgressStage.LOADING, done=1, total=2)),
        Loaded(MODEL),
        LoadFailed("out_of_memory", "line\nline"),
        RequestFailed("a", "generation_failed", "no"),
        StepDone(
            (RequestOutput("a", (1, 2), FinishReason.STOP, 7),),
            num_running=1,
            num_waiting=0,
            memory_bytes=3,
            prefix_cache_bytes=2,
            step_seconds=0.1,
        ),
    ],
)
def test_a_report_comes_out_as_it_went_in(report: Report) -> None:
    assert decode_report(encode(report)) == report


@pytest.mark.parametrize(
    "line", [b"", b"\n", b"{}\n", b'{"type":"generate"}\n', b"\xff\xfe\n", b'{"type":"step"', b"[]\n"]
)
def test_what_is_no_frame_raises_frame_error(line: bytes) -> None:
    with pytest.raises(FrameError):
        decode_command(line)
    with pytest.raises(FrameError):
        decode_report(line)
