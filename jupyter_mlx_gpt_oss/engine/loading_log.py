"""The loading of a model to lines of the log: one for each stage, and for each tenth of it."""

import logging
from pathlib import Path

from jupyter_mlx_gpt_oss.engine.base import ModelInfo
from jupyter_mlx_gpt_oss.engine.request import Progress

_log = logging.getLogger(__name__)
_TENTHS = 10


class LoadingLog:
    """What was last said of one model's loading."""

    def __init__(self) -> None:
        self._said: tuple[str, int] | None = None

    def note(self, progress: Progress) -> None:
        """Say how far it is, if that is news."""
        tenth = _TENTHS * progress.done // progress.total if progress.total else 0
        if self._said == (progress.stage, tenth):
            return
        self._said = (progress.stage, tenth)
        stage = progress.stage.value.replace("_", " ")
        _log.info("the model: %s%s", stage, f", {tenth * _TENTHS} %" if progress.total else "")

    def end(self, model: ModelInfo) -> None:
        """Say that it is over."""
        self._said = None
        _log.info(
            "model %s is ready: %s, context of %d tokens",
            Path(model.name).name,  # not where it lies
            model.quantization,
            model.context_length,
        )
        if model.is_demo:
            _log.info("this is the small demo model; GptOss.model or --model names a real one")
