"""Whatever goes wrong while a model is loaded reaches the notebook server as a report, and names no path."""

from pathlib import Path
from typing import NoReturn

import pytest

from jupyter_mlx_gpt_oss.engine.config import EngineConfig
from jupyter_mlx_gpt_oss.engine.frames import LoadFailed, Report, Start
from jupyter_mlx_gpt_oss.engine.request import Progress, ProgressStage
from jupyter_mlx_gpt_oss.errors import ModelLoadError, OutOfMemoryError
from jupyter_mlx_gpt_oss.worker import download as downloads
from jupyter_mlx_gpt_oss.worker import model_loader
from jupyter_mlx_gpt_oss.worker.__main__ import _serve
from jupyter_mlx_gpt_oss.worker.ranks import ALONE


class TransportError(Exception):
    """As HTTP clients raise it; none of theirs is an OSError."""


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (TransportError("/home/ada: the peer closed the connection"), ModelLoadError.code),
        (
            RuntimeError("[read] Unable to read 4096 bytes of /home/ada/model.safetensors"),
            ModelLoadError.code,
        ),
        (RuntimeError("[malloc] Unable to allocate 8000000000 bytes."), OutOfMemoryError.code),
        (MemoryError(), OutOfMemoryError.code),
        (ModelLoadError("It is not there."), ModelLoadError.code),
    ],
)
def test_a_fault_in_loading_is_reported(error: Exception, code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(*_: object) -> NoReturn:
        raise error

    monkeypatch.setattr(model_loader, "load", load)
    reports: list[Report] = []
    _serve(Start(EngineConfig()), lambda _: None, reports.append, ALONE)
    [report] = reports
    assert isinstance(report, LoadFailed)
    assert report.code == code
    assert "ada" not in report.message


def test_a_server_that_is_gone_while_the_model_is_loaded_is_no_fault_of_the_model(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def load(*_: object) -> NoReturn:
        raise BrokenPipeError

    monkeypatch.setattr(model_loader, "load", load)
    with pytest.raises(BrokenPipeError):
        _serve(Start(EngineConfig()), lambda _: None, lambda _: None, ALONE)


def test_weights_that_cannot_be_read_are_told_without_where_they_lie(
    tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(directory: Path, **_: object) -> NoReturn:
        raise RuntimeError(f"[load_safetensors] Failed to open file {directory}/model.safetensors")

    monkeypatch.setattr(model_loader, "load_mlx_model", read)
    with pytest.raises(ModelLoadError, match="Failed to open file") as caught:
        model_loader.load(str(tiny_checkpoint), None, lambda _: None, ALONE)
    assert str(tiny_checkpoint.parent) not in caught.value.message


def test_a_download_counts_bytes_that_never_grow_less(
    tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Progress] = []
    asked: dict[str, object] = {}

    def config_file(*_: object, **__: object) -> str:
        return str(tiny_checkpoint / "config.json")

    def snapshot(_: str, **options: object) -> str:
        asked.update(options)
        bar = options["tqdm_class"]
        assert callable(bar)
        received, written, files = bar(total=100, unit="B"), bar(total=100, unit="B"), bar(total=2, unit="it")
        for each in (received, written, received, files, written):
            each.update(50 if each is not files else 1)
        return str(tiny_checkpoint)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", config_file)
    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot)
    assert downloads.download("somebody/gpt-oss", told.append) == tiny_checkpoint
    assert [(each.stage, each.done, each.total) for each in told] == [
        (ProgressStage.DOWNLOADING, done, 100) for done in (50, 50, 100, 100)
    ]
    assert asked["allow_patterns"] == ["*.json", "*.safetensors", "*.jinja"]
