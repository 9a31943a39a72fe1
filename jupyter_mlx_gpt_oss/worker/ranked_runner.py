"""Steps of a model that several ranks share: each computes its part, and all take the tokens that rank 0 drew."""

import logging
import os
from collections.abc import Iterator
from collections.abc import Sequence as Several
from contextlib import contextmanager

from typing_extensions import override

from jupyter_mlx_gpt_oss.errors import InvalidRequestError
from jupyter_mlx_gpt_oss.worker.model_loader import LoadedModel
from jupyter_mlx_gpt_oss.worker.ranks import Ranks
from jupyter_mlx_gpt_oss.worker.scheduler import Chunk
from jupyter_mlx_gpt_oss.worker.sequence import Sequence
from jupyter_mlx_gpt_oss.worker.sequence_caches import SequenceCaches
from jupyter_mlx_gpt_oss.worker.step_runner import StepRunner
from jupyter_mlx_gpt_oss.worker.token_drawer import Drawn

_log = logging.getLogger(__name__)


class RankedStepRunner(StepRunner):
    """Begins no step before the tokens ahead of it are read: they are rank 0's, and the others wait for them.

    Args:
        loaded: this rank's part of the model.
        caches: of the sequences, with this rank's heads.
        ranks: all of them.
    """

    def __init__(self, loaded: LoadedModel, caches: SequenceCaches, ranks: Ranks) -> None:
        super().__init__(loaded, caches)
        self._ranks = ranks

    @override
    def run(self, chunks: Several[Chunk], *, goes_on: bool) -> Drawn:
        """Compute the chunks and draw. See `StepRunner.run`."""
        with _whole():
            drawn = super().run(chunks, goes_on=False)
        sequences = [chunk.sequence for chunk in chunks if chunk.sequence in drawn]
        tokens = self._ranks.share(lambda: [drawn[sequence][0] for sequence in sequences], list[int])
        return {
            sequence: (token, drawn[sequence][1]) for sequence, token in zip(sequences, tokens, strict=True)
        }

    @override
    def read(self, chunk: Chunk) -> None:
        """Compute a chunk. See `StepRunner.read`."""
        with _whole():
            super().read(chunk)

    @override
    def run_draft(self, sequence: Sequence, draft: list[int]) -> list[int]:
        """Check a draft. See `StepRunner.run_draft`."""
        with _whole():
            tokens = super().run_draft(sequence, draft)
        return self._ranks.share(lambda: tokens, list[int])


def make_runner(loaded: LoadedModel, caches: SequenceCaches, ranks: Ranks) -> StepRunner:
    """Return the runner for one process, or for ranks."""
    return RankedStepRunner(loaded, caches, ranks) if ranks.size > 1 else StepRunner(loaded, caches)


@contextmanager
def _whole() -> Iterator[None]:
    """End this rank, and so all, if a step fails: the others would wait for it for ever. Grammars fail alike on all."""
    is_whole = False
    try:
        yield
        is_whole = True
    except InvalidRequestError:
        is_whole = True
        raise
    finally:
        if not is_whole:
            _log.critical("a step failed on this rank, and so all ranks end", exc_info=True)
            os._exit(1)
