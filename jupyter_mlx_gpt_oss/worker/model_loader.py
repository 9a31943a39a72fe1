"""The name of a model to a model that is ready to step: resolved, checked, loaded, warmed up.

Runs on the worker's main thread, as every step later does.
"""

import os
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlx.core as mx
from mlx.utils import tree_flatten
from mlx_lm.utils import load_model as load_mlx_model

from jupyter_mlx_gpt_oss.demo import cached_checkpoint
from jupyter_mlx_gpt_oss.engine.base import ModelInfo
from jupyter_mlx_gpt_oss.engine.request import Progress, ProgressStage
from jupyter_mlx_gpt_oss.errors import ModelLoadError, OutOfMemoryError
from jupyter_mlx_gpt_oss.worker.checkpoint import Checkpoint, checkpoint_name, read_checkpoint
from jupyter_mlx_gpt_oss.worker.constraint import ConstraintFactory
from jupyter_mlx_gpt_oss.worker.download import download
from jupyter_mlx_gpt_oss.worker.head import FullHead, Head
from jupyter_mlx_gpt_oss.worker.memory import free_bytes, has_working_set
from jupyter_mlx_gpt_oss.worker.model_step import Row, forward, make_caches
from jupyter_mlx_gpt_oss.worker.narrow_head import NarrowHead
from jupyter_mlx_gpt_oss.worker.ranks import ALONE, Ranks
from jupyter_mlx_gpt_oss.worker.sharding import check_divisible, shard

DEMO = "demo"
_CACHE_LIMIT_BYTES = 1 << 30  # MLX keeps freed buffers for reuse, by default as many as there is memory
_HEAD_SHARE = 16  # one part of so many of the memory that is free, for a head that is unpacked
_RESERVE_BYTES = 1 << 30  # caches, activations and the rest of the machine
_SLOW_BYTES = (
    2 << 30
)  # reading so many weights takes longer than preparing constraints, which costs nothing meanwhile
_WARM_UP_TOKENS = (0, 1)  # in every vocabulary

Report = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model, its head and what is known of it."""

    model: Any
    """mlx-lm's gpt_oss Model, its parameters evaluated."""
    head: Head
    info: ModelInfo
    constraints: ConstraintFactory


def load(name: str, context_length: int | None, report: Report, ranks: Ranks = ALONE) -> LoadedModel:
    """Load a model.

    Args:
        name: `demo`, a directory, or a Hugging Face id.
        context_length: tokens; None or more than the model was made for: what it was made for.
        report: told of the progress.
        ranks: that share the model.

    Raises:
        ModelLoadError: it is no gpt_oss checkpoint, incomplete, or not to be had.
        OutOfMemoryError: it needs more memory than there is.
    """
    is_on_cpu = mx.default_device() == mx.cpu
    prepare_device()
    checkpoint = read_checkpoint(_resolve(name, report))
    check_divisible(checkpoint.config, ranks.size)
    _check_memory(checkpoint, is_on_cpu=is_on_cpu, num_ranks=ranks.size)
    vocabulary_size = int(checkpoint.config["vocab_size"])
    constraints = ConstraintFactory(vocabulary_size)
    meanwhile = threading.Thread(target=constraints.prepare, name="gpt-oss constraints", daemon=True)
    if checkpoint.weight_bytes > _SLOW_BYTES:
        meanwhile.start()
    model = _read(checkpoint, is_on_cpu=is_on_cpu, report=report, ranks=ranks)
    head: Head
    if name == DEMO and is_on_cpu:
        head = NarrowHead(model)
    else:
        head = FullHead(model, max_unpacked_bytes=free_bytes() // _HEAD_SHARE if is_on_cpu else 0)
    report(Progress(stage=ProgressStage.WARMING_UP))
    _warm_up(model, head)
    info = ModelInfo(
        name=name,
        context_length=min(context_length or checkpoint.context_length, checkpoint.context_length),
        quantization=checkpoint.quantization,
        vocabulary_size=vocabulary_size,
        is_demo=name == DEMO,
        weight_bytes=checkpoint.weight_bytes,
        device="cpu" if is_on_cpu else "gpu",
    )
    return LoadedModel(model, head, info, constraints)


def prepare_device() -> None:
    """Set MLX's limits, once for the life of the process."""
    mx.set_cache_limit(_CACHE_LIMIT_BYTES)
    if mx.default_device() == mx.gpu:
        if recommended := mx.device_info().get("max_recommended_working_set_size"):
            mx.set_wired_limit(int(recommended))
    elif shutil.which("g++") is None and shutil.which("c++") is None:
        mx.disable_compile()  # on the CPU mx.compile calls the system's compiler


def _resolve(name: str, report: Report) -> Path:
    if name == DEMO:
        return cached_checkpoint()
    directory = Path(os.path.expanduser(name))  # noqa: PTH111  Path's own raises where there is no such user
    if os.path.isdir(directory):  # noqa: PTH112  Path's own raises where a name is too long for a file's
        return directory
    if directory.is_absolute() or name.startswith((".", "~")):
        raise ModelLoadError(f"There is no directory {directory.name!r} at the path given as the model.")
    return download(name, report)


def _check_memory(checkpoint: Checkpoint, *, is_on_cpu: bool, num_ranks: int) -> None:
    # On the CPU the tensors that are not packed are computed, and so kept, in float32.
    weights = checkpoint.weight_bytes + (2 * checkpoint.num_parameters_float if is_on_cpu else 0)
    needed = weights // num_ranks + _RESERVE_BYTES
    available = free_bytes()
    if needed > available:
        advice = "Close other programs or choose a smaller model"
        if has_working_set():
            advice = "A GPU may use that part of this machine's memory and no more: choose a smaller model"
        raise OutOfMemoryError(
            f"The model needs about {needed / 1e9:.1f} GB of memory, and {available / 1e9:.1f} GB can be used. {advice}."
        )


def _read(checkpoint: Checkpoint, *, is_on_cpu: bool, report: Report, ranks: Ranks) -> Any:
    try:
        model, _ = load_mlx_model(checkpoint.directory, lazy=True)
    except (ValueError, KeyError, TypeError, RuntimeError) as error:
        title = checkpoint_name(checkpoint.directory)
        reason = _first_line(error).replace(str(checkpoint.directory), title)
        raise ModelLoadError(
            f"The weights of {title!r} do not fit its config: {reason}. Download the checkpoint again."
        ) from error
    if is_on_cpu:
        model.set_dtype(mx.float32)  # bf16 is 9 times slower there, fp16 37 times
    shard(model, ranks)  # before anything is read, so that only this rank's part is
    done = 0
    for part in [*model.layers, model]:
        parameters: list[mx.array] = list(dict(tree_flatten(part.parameters(), destination={})).values())
        mx.eval(parameters)
        done = sum(array.nbytes for array in parameters) + (done if part is not model else 0)
        report(
            Progress(
                stage=ProgressStage.LOADING,
                done=min(done, checkpoint.weight_bytes),
                total=checkpoint.weight_bytes,
            )
        )
    return model


def _warm_up(model: Any, head: Head) -> None:
    """Run a prefill and a decode step: compiles kernels, and evaluates what is in no parameter list (YarnRoPE._freqs)."""
    caches = make_caches(model)
    for tokens in (_WARM_UP_TOKENS, _WARM_UP_TOKENS[:1]):
        mx.eval(head(forward(model, [Row(tokens, caches)]), [_WARM_UP_TOKENS]).values)
    mx.clear_cache()


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
