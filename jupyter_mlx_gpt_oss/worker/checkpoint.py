"""A directory to a checked gpt_oss checkpoint, before any weight is read.

Both layouts hold: mlx-community's (MXFP4 experts split into gate_proj and up_proj, the rest 8-bit or bf16) and OpenAI's own
(`gate_up_proj_blocks`, `gate_up_proj_scales`). Only safetensors are read; no code of a checkpoint is ever run.
"""

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jupyter_mlx_gpt_oss.errors import ModelLoadError

_WEIGHT_FILE = re.compile(r"[\w.-]{1,200}\.safetensors", re.ASCII)  # any file system takes such a name
_MODEL_TYPE = "gpt_oss"
_DEFAULT_CONTEXT_LENGTH = 131_072  # openai/gpt-oss model card


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A complete gpt_oss checkpoint."""

    directory: Path
    config: dict[str, Any]
    weight_files: tuple[Path, ...]
    num_parameters_float: int
    """Entries of tensors that are stored as bf16, fp16 or fp32."""
    weight_bytes: int
    """Of all tensors, as stored."""

    @property
    def context_length(self) -> int:
        """Tokens of prompt and answer together, as the checkpoint says."""
        return int(self.config.get("max_position_embeddings") or _DEFAULT_CONTEXT_LENGTH)

    @property
    def quantization(self) -> str | None:
        """Such as `mxfp4 experts, 8-bit rest`; None where nothing is quantised."""
        config = self.config.get("quantization") or self.config.get("quantization_config")
        if not isinstance(config, dict):
            return None
        experts = str(config.get("mode") or config.get("quant_method") or f"{config.get('bits')}-bit")
        rest = {
            str(entry["bits"]) for entry in config.values() if isinstance(entry, dict) and "bits" in entry
        }
        return (
            f"{experts} experts, {'/'.join(sorted(rest))}-bit rest"
            if rest
            else f"{experts} experts, bf16 rest"
        )


def read_checkpoint(directory: Path) -> Checkpoint:
    """Check a directory's config and that all of its weight files are there.

    Raises:
        ModelLoadError: it is no gpt_oss checkpoint, or not a complete one; says what is wrong and what would help.
    """
    config = read_config(directory / "config.json")
    files = _weight_files(directory)
    num_float, weight_bytes = 0, 0
    for file in files:
        for tensor in _tensors(file):
            weight_bytes += tensor.num_bytes
            num_float += tensor.num_parameters if tensor.is_float else 0
    return Checkpoint(directory, config, files, num_float, weight_bytes)


def checkpoint_name(directory: Path) -> str:
    """Return what a user calls a checkpoint: the directory's name, or the id that Hugging Face's cache keeps it under."""
    cached = directory.parent.parent.name  # models--ORGANISATION--MODEL/snapshots/COMMIT
    if directory.parent.name == "snapshots" and cached.startswith("models--"):
        return cached.removeprefix("models--").replace("--", "/")
    return directory.name


def read_config(file: Path) -> dict[str, Any]:
    """Return a config.json that says gpt_oss.

    Raises:
        ModelLoadError: it is missing, broken, or another architecture's.
    """
    where = checkpoint_name(file.parent)
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelLoadError(
            f"{where!r} holds no config.json. Expected the directory of a gpt_oss checkpoint, with config.json and "
            "model*.safetensors."
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise ModelLoadError(
            f"config.json of {where!r} cannot be read: {_reason(error)}. Download it again."
        ) from error
    model_type = config.get("model_type") if isinstance(config, dict) else None
    if model_type != _MODEL_TYPE:
        raise ModelLoadError(
            f"{where!r} is a model of type {model_type!r}, and only {_MODEL_TYPE!r} is served. Try "
            "mlx-community/gpt-oss-20b-MXFP4-Q8 or openai/gpt-oss-20b."
        )
    for name in ("vocab_size", "max_position_embeddings"):
        value = config.get(name, 1)
        if not isinstance(value, int) or value < 1:
            raise ModelLoadError(f"config.json of {where!r} has no number for {name}. Download it again.")
    return dict(config)


def _weight_files(directory: Path) -> tuple[Path, ...]:
    index = directory / "model.safetensors.index.json"
    if index.is_file():
        names = _indexed_names(index)
        missing = [name for name in names if not (directory / name).is_file()]
        if missing:
            raise ModelLoadError(
                f"{checkpoint_name(directory)!r} is incomplete: {len(missing)} of {len(names)} weight files are missing, the first is "
                f"{missing[0]}. Download the checkpoint again."
            )
        return tuple(directory / name for name in names)
    files = tuple(sorted(directory.glob("model*.safetensors")))
    if not files:
        raise ModelLoadError(
            f"{checkpoint_name(directory)!r} holds no model*.safetensors. Only safetensors are read; download the checkpoint again."
        )
    return files


def _indexed_names(index: Path) -> list[str]:
    """Return the names of weight files that an index lists; none leads out of its directory."""
    try:
        names = sorted(
            {str(name) for name in json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()}
        )
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ModelLoadError(
            f"{index.name} of {checkpoint_name(index.parent)!r} cannot be read: {_reason(error)}. Download it again."
        ) from error
    if not names or not all(map(_WEIGHT_FILE.fullmatch, names)):
        raise ModelLoadError(
            f"{index.name} of {checkpoint_name(index.parent)!r} names no weight files. Download it again."
        )
    return names


@dataclass(frozen=True, slots=True)
class _Tensor:
    """An entry of a safetensors header."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int

    def __post_init__(self) -> None:
        numbers: list[Any] = [*self.shape, self.begin, self.end]  # as a foreign file has them
        if not all(isinstance(number, int) and number >= 0 for number in numbers) or self.begin > self.end:
            raise ValueError("a tensor has no place")

    @property
    def num_bytes(self) -> int:
        return self.end - self.begin

    @property
    def num_parameters(self) -> int:
        return math.prod(self.shape)

    @property
    def is_float(self) -> bool:
        return self.dtype in {"BF16", "F16", "F32"}


def _tensors(file: Path) -> list[_Tensor]:
    """Return the header's entries of a safetensors file, and check that the file is as long as they say."""
    try:
        num_bytes = file.stat().st_size
        with file.open("rb") as stream:
            header_bytes = int.from_bytes(stream.read(8), "little")
            header = json.loads(stream.read(header_bytes) if header_bytes < num_bytes else b"")
        tensors = [
            _Tensor(str(entry["dtype"]), tuple(entry["shape"]), *entry["data_offsets"])
            for name, entry in header.items()
            if name != "__metadata__"
        ]
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ModelLoadError(
            f"{file.name} is no safetensors file: {_reason(error)}. Download it again."
        ) from error
    expected = 8 + header_bytes + max((tensor.end for tensor in tensors), default=0)
    if num_bytes < expected:
        raise ModelLoadError(
            f"{file.name} is cut off: it has {num_bytes} bytes, its header says {expected}. Download it again."
        )
    return tensors


def _reason(error: BaseException) -> str:
    """Say why, without the path that an OSError tells, which is the server's affair."""
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    return repr(error)[:200]
