"""The progress of a request that tells its client none, to an error once the model takes too long to load."""

from collections.abc import Callable

from jupyter_mlx_gpt_oss.engine.request import Progress, ProgressStage
from jupyter_mlx_gpt_oss.errors import ModelLoadingError

_LOADING_STAGES = (ProgressStage.DOWNLOADING, ProgressStage.LOADING, ProgressStage.WARMING_UP)
_RETRY_AFTER_SECONDS = 10


class LoadingPatience:
    """How long one request that does not stream waits for the model; a stream is told how far it is.

    Args:
        seconds: of loading.
        clock: seconds that only grow, such as time.monotonic.
    """

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        self._seconds = seconds
        self._clock = clock
        self._since: float | None = None

    def note(self, item: object) -> None:
        """Take what the request yields next; None is a silence.

        Raises:
            ModelLoadingError: the model has been loaded for too long; it goes on being loaded.
        """
        if isinstance(item, Progress):
            self._note_stage(item.stage)
        elif item is not None:
            self._since = None
        if self._since is not None and self._clock() - self._since >= self._seconds:
            raise ModelLoadingError(
                "The model is being loaded. Ask again soon, or with `stream`, which waits and says how far it is.",
                retry_after_seconds=_RETRY_AFTER_SECONDS,
            )

    def _note_stage(self, stage: ProgressStage) -> None:
        if stage not in _LOADING_STAGES:
            self._since = None
        elif self._since is None:
            self._since = self._clock()
