"""What is no complete gpt_oss checkpoint is refused before its weights are read, with a reason and a remedy."""

import json
import shutil
from pathlib import Path

import pytest

from jupyter_mlx_gpt_oss.engine.request import Progress
from jupyter_mlx_gpt_oss.errors import ModelLoadError, OutOfMemoryError
from jupyter_mlx_gpt_oss.worker import model_loader
from jupyter_mlx_gpt_oss.worker.checkpoint import read_checkpoint


def _nothing(progress: Progress) -> None:
    del progress


@pytest.fixture
def copy(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_checkpoint, tmp_path / "copy"))


def test_a_complete_checkpoint_tells_its_size_and_quantisation(
    copy: Path, tiny_openai_checkpoint: Path
) -> None:
    checkpoint = read_checkpoint(copy)
    assert checkpoint.context_length == 131_072
    assert checkpoint.quantization == "mxfp4 experts, 8-bit rest"
    assert 0.9 * (copy / "model.safetensors").stat().st_size < checkpoint.weight_bytes
    assert read_checkpoint(tiny_openai_checkpoint).quantization == "mxfp4 experts, bf16 rest"


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda copy: (copy / "config.json").unlink(), "holds no config.json"),
        (lambda copy: (copy / "config.json").write_text("{"), "cannot be read"),
        (lambda copy: (copy / "config.json").write_text('{"model_type": "llama"}'), "type 'llama'"),
        (lambda copy: (copy / "config.json").write_text("[]"), "type None"),
        (lambda copy: (copy / "model.safetensors").unlink(), "holds no model"),
        (lambda copy: (copy / "model.safetensors").write_bytes(b"PK\3\4 not tensors"), "no safetensors file"),
        (lambda copy: (copy / "model.safetensors").write_bytes(b""), "no safetensors file"),
    ],
)
def test_a_broken_directory_is_refused_with_its_reason(copy: Path, break_it: object, message: str) -> None:
    assert callable(break_it)
    break_it(copy)
    with pytest.raises(ModelLoadError, match=message):
        read_checkpoint(copy)


def test_a_checkpoint_of_hugging_faces_cache_is_called_by_its_id(copy: Path, tmp_path: Path) -> None:
    cached = tmp_path / "models--mlx-community--Qwen3-4B" / "snapshots" / ("6cee5e81" * 5)
    cached.parent.mkdir(parents=True)
    copy.rename(cached)
    (cached / "config.json").write_text('{"model_type": "qwen3"}')
    with pytest.raises(ModelLoadError, match="'mlx-community/Qwen3-4B' is a model of type 'qwen3'"):
        read_checkpoint(cached)


def test_a_cut_off_weight_file_is_refused(copy: Path) -> None:
    file = copy / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1000])
    with pytest.raises(ModelLoadError, match="cut off"):
        read_checkpoint(copy)


def test_a_missing_shard_is_named(copy: Path) -> None:
    index = {"weight_map": {"a": "model.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (copy / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ModelLoadError, match="model-00002-of-00002"):
        read_checkpoint(copy)


@pytest.mark.parametrize(
    "name",
    [
        "../model.safetensors",
        "x" * 300 + ".safetensors",
        "\N{GREEK SMALL LETTER ALPHA}" * 200 + ".safetensors",
        "a\x00.safetensors",
        "model.bin",
        "",
        {"a": 1},
        5,
    ],
)
def test_an_index_that_names_no_weight_file_is_refused(copy: Path, name: object) -> None:
    index = {"weight_map": {"a": "model.safetensors", "b": name}}
    (copy / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ModelLoadError, match="names no weight files"):
        read_checkpoint(copy)


def test_weights_that_do_not_fit_the_config_are_refused(copy: Path) -> None:
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 6, "layer_types": None}))
    with pytest.raises(ModelLoadError, match="do not fit"):
        model_loader.load(str(copy), None, _nothing)


def test_a_model_larger_than_the_memory_is_refused_with_both_numbers(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_loader, "_RESERVE_BYTES", 10**15)
    with pytest.raises(OutOfMemoryError, match=r"needs about 1000000\.\d GB"):
        model_loader.load(str(copy), None, _nothing)


@pytest.mark.parametrize(
    "name", ["/no/such/directory", "./no-such-directory", "~nobody-of-this-name", "/" + "x" * 300, "/a\x00b"]
)
def test_a_directory_that_is_not_there_is_refused(name: str) -> None:
    with pytest.raises(ModelLoadError, match="no directory"):
        model_loader.load(name, None, _nothing)


@pytest.mark.parametrize("name", ["not a/valid/id", "x" * 4096, "a\x00b", "<|end|>"])
def test_a_name_that_is_nothing_is_refused(name: str) -> None:
    with pytest.raises(ModelLoadError, match="neither `demo`"):
        model_loader.load(name, None, _nothing)
