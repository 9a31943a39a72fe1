"""Planned chunks to drawn tokens, the model kept busy meanwhile.

Where every row of a step decodes, and nothing but the model decides what it draws, the step behind it is begun on the
device before this one's tokens are read: handing out tokens then costs the device no time. Such a step is in flight.

Owned by the worker's main thread. Raises whatever the model raises; the loop decides whose fault it is.
"""

from collections.abc import Sequence as Several
from dataclasses import dataclass
from typing import Any

import mlx.core as mx

from jupyter_mlx_gpt_oss.worker.model_loader import LoadedModel
from jupyter_mlx_gpt_oss.worker.model_step import Row, forward
from jupyter_mlx_gpt_oss.worker.scheduler import Chunk
from jupyter_mlx_gpt_oss.worker.sequence import Sequence
from jupyter_mlx_gpt_oss.worker.sequence_caches import SequenceCaches
from jupyter_mlx_gpt_oss.worker.token_drawer import Drawn, TokenDrawer, is_free


@dataclass(frozen=True, slots=True)
class _Flight:
    """A decode step whose tokens nobody has read; the caches of its sequences hold what went into it."""

    sequences: tuple[Sequence, ...]
    tokens: mx.array
    """(B,)"""


class StepRunner:
    """Computes steps of one model.

    Args:
        loaded: the model.
        caches: of the sequences; told what was computed.
    """

    def __init__(self, loaded: LoadedModel, caches: SequenceCaches) -> None:
        self._model = loaded.model
        self._caches = caches
        self._drawer = TokenDrawer(loaded)
        self._flight: _Flight | None = None

    @property
    def is_in_flight(self) -> bool:
        """Whether the next step is being computed: it is to be asked for before anything else is."""
        return self._flight is not None

    def drop(self) -> None:
        """Forget the step in flight: its sequences have ended, or begin anew."""
        self._flight = None

    def run(self, chunks: Several[Chunk], *, goes_on: bool) -> Drawn:
        """Compute the chunks and draw for those that are the last of their sequence.

        Args:
            chunks: at least one; of the step in flight, where there is one, those that have not ended.
            goes_on: whether the next step will have the same sequences, as far as one can know.
        """
        sequences = [chunk.sequence for chunk in chunks]
        if all(sequence.is_decoding and is_free(sequence) for sequence in sequences):
            drawn = self._decode(sequences, goes_on=goes_on)
        else:
            drawn = self._compute(chunks)
        for chunk in chunks:
            self._caches.book(chunk)
        return drawn

    def read(self, chunk: Chunk) -> None:
        """Compute a chunk whose sequence draws nothing."""
        mx.eval(forward(self._model, [_row(chunk)]))
        self._caches.book(chunk)

    def run_draft(self, sequence: Sequence, draft: list[int]) -> list[int]:
        """Compute a sequence's last token and a draft; return the drafted tokens that are drawn anyway, and the one behind."""
        row = Row([sequence.token_ids[-1], *draft], sequence.caches, num_outputs=len(draft) + 1)
        return self._drawer.check_draft(forward(self._model, [row]), sequence, draft)

    def _compute(self, chunks: Several[Chunk]) -> Drawn:
        hidden = forward(self._model, [_row(chunk) for chunk in chunks])
        last = [index for index, chunk in enumerate(chunks) if chunk.is_last]
        if not last:
            mx.eval(hidden)
            return {}
        picked = hidden if len(last) == len(chunks) else hidden[mx.array(last)]
        return self._drawer.draw(picked, [chunks[index].sequence for index in last])

    def _decode(self, sequences: list[Sequence], *, goes_on: bool) -> Drawn:
        flight = self._flight or self._launch(sequences, None)
        staying = [each for each in sequences if each.num_output_tokens + 1 < each.max_tokens]
        self._flight = self._launch(staying, flight) if goes_on and staying else None
        tokens: Any = flight.tokens.tolist()
        drawn = dict(zip(flight.sequences, tokens, strict=True))
        return {sequence: (drawn[sequence], ()) for sequence in sequences}

    def _launch(self, sequences: list[Sequence], behind: _Flight | None) -> _Flight:
        """Begin to compute the last token of each sequence: one that was handed out, or one of a step in flight."""
        if behind is None:
            rows = [Row(sequence.token_ids[-1:], sequence.caches) for sequence in sequences]
        else:
            places = [behind.sequences.index(sequence) for sequence in sequences]
            rows = [
                Row(behind.tokens[place : place + 1], sequence.caches)
                for place, sequence in zip(places, sequences, strict=True)
            ]
        num_unread = 0 if behind is None else 1
        tokens = self._drawer.begin(forward(self._model, rows), sequences, num_unread)
        return _Flight(tuple(sequences), tokens)


def _row(chunk: Chunk) -> Row:
    sequence = chunk.sequence
    end = sequence.num_computed + chunk.num_tokens
    return Row(sequence.token_ids[sequence.num_computed : end], sequence.caches)
