"""Unfold the embedded model into a directory: a checkpoint as Hugging Face lays it out.

A directory appears whole or not at all: it is written beside its place and renamed. Two processes may unfold to the
same place at once; one of the two results, which are equal, stays.
"""

import json
import os
import stat
import tempfile
from functools import cache
from pathlib import Path

from safetensors.numpy import save

from jupyter_mlx_gpt_oss.demo.compact import compact_digest, full_tensors, model_sizes
from jupyter_mlx_gpt_oss.demo.model_config import generation_config, model_config
from jupyter_mlx_gpt_oss.demo.tokenizer import tokenizer, tokenizer_config
from jupyter_mlx_gpt_oss.errors import ModelLoadError

_LAYOUT_VERSION = 1  # to be raised when the same weights unfold to other files
_STAMP_FILE = "unfolded_from.txt"
_FILES = (
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
    _STAMP_FILE,
)


def unfold(directory: str | os.PathLike[str]) -> Path:
    """Write the embedded model as a complete checkpoint that mlx-lm can load, about 90 MB.

    A directory that already holds this model is returned as it is; one with an older version of it is replaced.

    Args:
        directory: where the checkpoint shall be; its parents are made.

    Returns:
        The directory.

    Raises:
        ModelLoadError: the directory holds other files, or cannot be written.
    """
    target = Path(directory).absolute()
    try:
        if _is_complete(target):
            return target
        if target.exists() and not _is_replaceable(target):
            raise ModelLoadError(
                f"{target} holds other files. Unfold the demo model into a new or empty directory."
            )
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}-") as scratch:
            new = Path(scratch) / "new"
            _write_checkpoint(new)
            _put_in_place(new, target, aside=Path(scratch) / "old")
    except OSError as error:
        raise ModelLoadError(
            f"The demo model cannot be read from {target} or written to it: {error.strerror or error}."
        ) from error
    return target


def cached_checkpoint() -> Path:
    """Return the unfolded model in the user's cache folder, unfolding it on first use.

    Where that folder cannot be written (a read-only home in a container), a private temporary one takes its place.

    Raises:
        ModelLoadError: neither folder can be written.
    """
    cache_home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    name = f"demo-{_stamp()[:12]}"
    try:
        return unfold(Path(cache_home) / "jupyter_mlx_gpt_oss" / name)
    except ModelLoadError:
        return unfold(_private_temporary_directory() / name)


@cache
def _stamp() -> str:
    return f"{compact_digest()}-{_LAYOUT_VERSION}"


def _is_complete(directory: Path) -> bool:
    if not all((directory / name).is_file() for name in _FILES):
        return False
    return (directory / _STAMP_FILE).read_text("ascii") == _stamp()


def _is_replaceable(directory: Path) -> bool:
    """Tell whether `directory` is empty or was unfolded by this module."""
    return directory.is_dir() and ((directory / _STAMP_FILE).is_file() or not any(directory.iterdir()))


def _write_checkpoint(directory: Path) -> None:
    directory.mkdir()
    (directory / "model.safetensors").write_bytes(save(full_tensors(), metadata={"format": "mlx"}))
    documents = {
        "config.json": model_config(model_sizes()),
        "generation_config.json": generation_config(),
        "tokenizer.json": tokenizer(),
        "tokenizer_config.json": tokenizer_config(),
    }
    for name, document in documents.items():
        (directory / name).write_text(json.dumps(document, ensure_ascii=False), "utf-8")
    (directory / _STAMP_FILE).write_text(_stamp(), "ascii")


def _put_in_place(new: Path, target: Path, *, aside: Path) -> None:
    """Rename `new` to `target`, unless another process was first."""
    if _is_complete(target):
        return
    if target.exists():
        target.rename(aside)
    try:
        new.rename(target)
    except OSError:
        if not _is_complete(target):
            raise


def _private_temporary_directory() -> Path:
    """Return a folder below the system's temporary one that only this user can write; the same one each time."""
    shared = Path(tempfile.gettempdir()) / f"jupyter_mlx_gpt_oss-{os.getuid()}"
    try:
        shared.mkdir(mode=0o700, exist_ok=True)
        found = shared.lstat()
    except OSError as error:
        raise ModelLoadError(
            f"No folder for the demo model can be written: {error.strerror or error}."
        ) from error
    if (
        found.st_uid == os.getuid()
        and stat.S_IMODE(found.st_mode) == stat.S_IRWXU
        and stat.S_ISDIR(found.st_mode)
    ):
        return shared
    return Path(tempfile.mkdtemp(prefix="jupyter_mlx_gpt_oss-"))  # somebody else made that folder
