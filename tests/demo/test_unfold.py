import errno
import json
import multiprocessing
import subprocess
import sys
from functools import cache
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import pytest

from jupyter_mlx_gpt_oss import vocabulary
from jupyter_mlx_gpt_oss.demo import cached_checkpoint, trained_token_ids, unfold
from jupyter_mlx_gpt_oss.demo.compact import compact_file
from jupyter_mlx_gpt_oss.errors import ModelLoadError
from jupyter_mlx_gpt_oss.vocabulary import NUM_TOKENS, SPECIAL_TOKENS

CHECKPOINT_FILES = {
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
    "unfolded_from.txt",
}


_UNFOLD = sys.modules["jupyter_mlx_gpt_oss.demo.unfold"]  # the package gives its function the same name
_MADE_ONCE = {name: cache(getattr(_UNFOLD, name)) for name in ("full_tensors", "tokenizer")}


@pytest.fixture(autouse=True)
def what_a_checkpoint_holds_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is nearly all of the time that unfolding takes, and always the same."""
    for name, make in _MADE_ONCE.items():
        monkeypatch.setattr(_UNFOLD, name, make)


def _modified(checkpoint: Path) -> dict[str, int]:
    return {file.name: file.stat().st_mtime_ns for file in checkpoint.iterdir()}


def test_the_shipped_file_is_under_3_mb() -> None:
    assert compact_file().stat().st_size < 3_000_000


def test_a_checkpoint_is_complete(checkpoint: Path) -> None:
    assert {file.name for file in checkpoint.iterdir()} == CHECKPOINT_FILES


def test_the_config_names_a_gpt_oss_with_the_full_vocabulary(config: dict[str, Any]) -> None:
    assert config["model_type"] == "gpt_oss"
    assert config["vocab_size"] == NUM_TOKENS


def test_generation_stops_at_return_call_and_end_of_text(checkpoint: Path) -> None:
    document = json.loads((checkpoint / "generation_config.json").read_text("utf-8"))

    assert document["eos_token_id"] == [200_002, 199_999, 200_012]


def test_unfolding_again_writes_nothing(checkpoint: Path) -> None:
    before = _modified(checkpoint)

    assert checkpoint == unfold(checkpoint)
    assert before == _modified(checkpoint)


def test_unfolding_leaves_nothing_beside_the_checkpoint(checkpoint: Path) -> None:
    assert [checkpoint.name] == [entry.name for entry in checkpoint.parent.iterdir()]


def test_an_older_checkpoint_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "unfolded_from.txt").write_text("an older version", "ascii")
    (tmp_path / "old" / "left_over.bin").touch()

    target = unfold(tmp_path / "old")

    assert {file.name for file in target.iterdir()} == CHECKPOINT_FILES


def test_a_directory_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()

    with pytest.raises(ModelLoadError, match="holds other files"):
        unfold(tmp_path)

    assert [entry.name for entry in tmp_path.iterdir()] == ["thesis.tex"]


def _unfold_little(target: Path, start: Barrier) -> None:
    """Unfold a model without weights and tokens, which take long, and make no difference to two processes at one place."""
    for name in _MADE_ONCE:
        setattr(_UNFOLD, name, dict)
    start.wait()
    unfold(target)


def test_two_processes_may_unfold_to_one_place(tmp_path: Path) -> None:
    target = tmp_path / "checkpoint"
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(2)
    processes = [context.Process(target=_unfold_little, args=(target, start)) for _ in range(2)]

    for process in processes:
        process.start()
    for process in processes:
        process.join()

    assert [process.exitcode for process in processes] == [0, 0]
    assert {file.name for file in target.iterdir()} == CHECKPOINT_FILES
    assert [target] == list(tmp_path.iterdir())


def test_the_cache_folder_holds_the_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    checkpoint = cached_checkpoint()

    assert checkpoint.parent == tmp_path / "jupyter_mlx_gpt_oss"
    assert checkpoint == cached_checkpoint()


def test_a_cache_folder_that_cannot_be_written_is_no_obstacle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))

    assert cached_checkpoint().is_relative_to(tmp_path / "temporary")


@pytest.mark.parametrize("failing", ["is_file", "mkdir", "write_bytes"])
def test_a_cache_folder_that_is_somebody_elses_is_no_obstacle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    """Such as a folder of root's, whose files may not even be looked for, or a quota that is used up."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    real = getattr(Path, failing)

    def refused(path: Path, *arguments: Any, **options: Any) -> Any:
        if path.is_relative_to(tmp_path / "cache"):
            raise PermissionError(errno.EACCES, "Permission denied")
        return real(path, *arguments, **options)

    monkeypatch.setattr(Path, failing, refused)

    with vocabulary.directory() as directory:
        assert directory.is_relative_to(tmp_path / "temporary")
        assert any(directory.iterdir())
    assert not directory.exists()
    assert cached_checkpoint().is_relative_to(tmp_path / "temporary")


def test_unfolding_imports_neither_mlx_nor_openai_harmony() -> None:
    code = (
        "import sys, jupyter_mlx_gpt_oss.demo as demo; demo.base_token_ids(); demo.trained_token_ids(); "
        "assert not {'mlx', 'torch', 'openai_harmony'} & set(sys.modules)"
    )

    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_harmony_markers_are_trained() -> None:
    markers = {
        "<|return|>",
        "<|constrain|>",
        "<|channel|>",
        "<|start|>",
        "<|end|>",
        "<|message|>",
        "<|call|>",
    }

    assert {SPECIAL_TOKENS[marker] for marker in markers} <= set(trained_token_ids().tolist())
