"""A Hugging Face id to a local directory, downloaded on first use with progress."""

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

from typing_extensions import override

from jupyter_mlx_gpt_oss.engine.request import Progress, ProgressStage
from jupyter_mlx_gpt_oss.errors import ModelLoadError
from jupyter_mlx_gpt_oss.worker.checkpoint import read_config

# Nothing that could hold code or a pickle; `original/` is the same weights a second time.
_ALLOW = ["*.json", "*.safetensors", "*.jinja"]
_IGNORE = ["original/*", "metal/*"]


def download(model_id: str, report: Callable[[Progress], None]) -> Path:
    """Return the directory of a Hugging Face checkpoint, which may be in the cache already.

    Args:
        model_id: such as `mlx-community/gpt-oss-20b-MXFP4-Q8`.
        report: told how many bytes of how many are there.

    Raises:
        ModelLoadError: there is no such model, it is not gpt_oss, or it cannot be downloaded.
    """
    from huggingface_hub import hf_hub_download, snapshot_download  # noqa: PLC0415  the demo needs none of it
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError  # noqa: PLC0415

    try:
        read_config(
            Path(hf_hub_download(model_id, "config.json"))
        )  # another architecture is refused before its weights
        return Path(
            snapshot_download(
                model_id, allow_patterns=_ALLOW, ignore_patterns=_IGNORE, tqdm_class=_progress_class(report)
            )
        )
    except HFValidationError as error:
        raise ModelLoadError(
            f"{model_id!r} is neither `demo`, nor a directory that exists, nor a Hugging Face id such as "
            "mlx-community/gpt-oss-20b-MXFP4-Q8."
        ) from error
    except LocalEntryNotFoundError as error:
        raise ModelLoadError(
            f"{model_id!r} is not on this machine and Hugging Face cannot be reached. Check the network, or give a local "
            "directory."
        ) from error
    except HfHubHTTPError as error:
        raise ModelLoadError(
            f"Hugging Face did not give {model_id!r}: {type(error).__name__}. Check the name, and log in with "
            "`hf auth login` if the model is private."
        ) from error
    except OSError as error:
        is_full = error.errno in {errno.ENOSPC, errno.EDQUOT}
        advice = (
            "Free some disk space." if is_full else "Check that Hugging Face's cache folder can be written."
        )
        raise ModelLoadError(
            f"{model_id!r} cannot be downloaded: {error.strerror or type(error).__name__}. {advice}"
        ) from error


def _progress_class(report: Callable[[Progress], None]) -> Any:
    from tqdm.auto import tqdm  # noqa: PLC0415  comes with huggingface_hub

    most = 0  # huggingface_hub has two bars, of bytes received and of bytes written

    class DownloadProgress(tqdm):  # type: ignore[type-arg]  # generic in its stubs alone
        """Tells the bytes of a download instead of drawing a bar."""

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            self._counts_bytes = kwargs.get("unit") == "B"
            super().__init__(*args, **{**kwargs, "disable": False, "file": _Nowhere()})

        @override
        def update(self, n: float | None = 1) -> bool | None:
            nonlocal most
            result: bool | None = super().update(n)
            if self._counts_bytes:
                most = max(most, int(self.n))
                report(Progress(stage=ProgressStage.DOWNLOADING, done=most, total=int(self.total or 0)))
            return result

    return DownloadProgress


class _Nowhere:
    """A file that keeps nothing."""

    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None:
        """Nothing is held back."""
