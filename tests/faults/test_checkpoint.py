"""A checkpoint is data: nothing of it is run, and no pickle is read."""

import json
import pickle
import shutil
from pathlib import Path

import pytest
from typing_extensions import override

from jupyter_mlx_gpt_oss.engine.request import Progress
from jupyter_mlx_gpt_oss.errors import ModelLoadError
from jupyter_mlx_gpt_oss.worker import download as downloads
from jupyter_mlx_gpt_oss.worker import model_loader


class Mine:
    """Touches a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    @override
    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (self.file,))


def _nothing(progress: Progress) -> None:
    del progress


@pytest.fixture
def copy(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_checkpoint, tmp_path / "copy"))


def test_a_config_that_names_code_is_refused_and_the_code_is_not_run(copy: Path, tmp_path: Path) -> None:
    mark = tmp_path / "was run"
    (copy / "evil.py").write_text(f"import pathlib\npathlib.Path({str(mark)!r}).touch()\n")
    config = json.loads((copy / "config.json").read_text())
    auto_map = {"AutoModelForCausalLM": "evil.Model", "AutoTokenizer": ["evil.Tokenizer", None]}
    (copy / "config.json").write_text(json.dumps({**config, "model_file": "evil.py", "auto_map": auto_map}))
    with pytest.raises(ModelLoadError):
        model_loader.load(str(copy), None, _nothing)
    assert not mark.exists()


def test_a_pickle_is_not_read(copy: Path, tmp_path: Path) -> None:
    mark = tmp_path / "was run"
    (copy / "model.safetensors").unlink()
    for name in ("pytorch_model.bin", "model.pt", "model.safetensors"):
        (copy / name).write_bytes(pickle.dumps(Mine(mark)))
        with pytest.raises(ModelLoadError, match="safetensors"):
            model_loader.load(str(copy), None, _nothing)
    assert not mark.exists()


def test_a_disk_that_is_full_during_a_download_is_told_without_the_servers_paths(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import huggingface_hub  # noqa: PLC0415

    def config_file(*_: object, **__: object) -> str:
        return str(copy / "config.json")

    def full_disk(*_: object, **__: object) -> str:
        raise OSError(28, "No space left on device", "/home/ada/.cache/model.safetensors")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", config_file)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", full_disk)
    with pytest.raises(ModelLoadError, match=r"No space left on device.*Free some disk space") as caught:
        downloads.download("somebody/gpt-oss", _nothing)
    assert "ada" not in caught.value.message
