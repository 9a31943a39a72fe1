"""How long a request waits that is told nothing while the model is loaded."""

import pytest

from jupyter_mlx_gpt_oss.engine.request import Progress, ProgressStage
from jupyter_mlx_gpt_oss.errors import ModelLoadingError
from jupyter_mlx_gpt_oss.serving.loading_patience import LoadingPatience

LOADING = Progress(stage=ProgressStage.LOADING, done=1, total=4)
QUEUED = Progress(stage=ProgressStage.QUEUED, done=3)


class Clock:
    seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.mark.parametrize("stage", ["downloading", "loading", "warming_up"])
def test_patience_ends_after_so_long_a_load(stage: str) -> None:
    clock = Clock()
    patience = LoadingPatience(60.0, clock)
    clock.seconds += 1000
    patience.note(None)
    patience.note(Progress(stage=ProgressStage(stage)))
    clock.seconds += 59
    patience.note(None)
    clock.seconds += 1
    with pytest.raises(ModelLoadingError, match="stream") as error:
        patience.note(LOADING)
    assert error.value.retry_after_seconds > 0


def test_other_waits_do_not_count_nor_does_an_answer_come_too_late() -> None:
    clock = Clock()
    patience = LoadingPatience(60.0, clock)
    for item in (QUEUED, None, LOADING, QUEUED, None):
        patience.note(item)
        clock.seconds += 59
    patience.note(LOADING)
    clock.seconds += 100
    patience.note("the answer")
