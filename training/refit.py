"""Set again, in a trained model, the heads that look up a tool's verb, which it has unlearned.

In a fresh model it is known where a codeword stands in the stream (`circuits.py`). In a trained one that is fitted: which
directions tell the token, the one before it, a leading `_`, and where a verb was found. The heads look as they should,
then; what they find is worth something after a little training.

Usage: python -m training.refit MODEL.pt OUT.pt --data CORPUS.npz...
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from jupyter_mlx_gpt_oss.demo.codes import unit_codes
from training.circuits import CODE_LENGTH, Head, Parts, set_call_head, set_verb_head
from training.data import Corpus, Flags, Ids
from training.lookups import AFTER_NOUN, find_lookups, is_name_end
from training.model import ModelConfig, TinyGptOss
from training.train import Objective
from training.words import encode

_NUM_FAMILIES = 400
_RIDGE = 0.001
_MARK = 0.1  # of the stream's length, where a verb was found
_UNDERSCORE_LENGTH = 2.8  # of a leading `_` in a fresh model's stream


@dataclass(frozen=True, slots=True)
class _Observed:
    """What a layer's attention sees of some families.

    Attributes:
        stream: what comes into the layer, (N, hidden).
        states: the same after the layer's norm, (N, hidden).
        token_ids: (N,).
        before: the tokens before those, (N,).
        is_after_noun, verbs: as in `Lookups`, (N,).
    """

    stream: Tensor
    states: Tensor
    token_ids: Ids
    before: Ids
    is_after_noun: Flags
    verbs: Ids


class _Observer:
    """Looks at what a model holds over families of a corpus."""

    def __init__(self, model: TinyGptOss, corpus: Corpus) -> None:
        rng = np.random.default_rng(0)
        self._model, self._objective = model, Objective(model, corpus, rng)
        chosen = rng.permutation(len(corpus.lengths))[:_NUM_FAMILIES]
        families = [corpus.family(int(index)) for index in chosen]
        self._families = [(family, find_lookups(family)) for family in families]

    def look(self, layer: int) -> _Observed:
        """Return what the attention of `layer` sees."""
        seen: list[Tensor] = []
        block = self._model.blocks[layer]
        hook = block.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
        columns: list[tuple[Ids, Ids, Flags, Ids]] = []
        streams: list[Tensor] = []
        for family, lookups in self._families:
            batch = family.batch()
            self._objective(batch, is_quantised=False)
            # The first token of a branch stands after another branch's last.
            follows = np.diff(batch.positions) == 1
            streams.append(seen.pop()[1:][torch.from_numpy(follows)])
            ids = family.token_ids
            columns.append(
                (
                    ids[1:][follows],
                    ids[:-1][follows],
                    lookups.is_after_noun[1:][follows],
                    lookups.verbs[1:][follows],
                )
            )
        hook.remove()
        stream = torch.cat(streams)
        states = functional.rms_norm(stream, stream.shape[-1:], block.input_norm, block.eps)
        return _Observed(stream, states, *(np.concatenate(parts) for parts in zip(*columns, strict=True)))


def _fit(states: Tensor, wanted: Tensor, weights: Tensor) -> Tensor:
    """Return the matrix (D, hidden) that gives `wanted` (N, D) from `states` (N, hidden), weighted by (N,)."""
    weighted = states * weights[:, None]
    gram = weighted.T @ states
    gram += _RIDGE * gram.diagonal().mean() * torch.eye(len(gram))
    return torch.linalg.solve(gram, weighted.T @ wanted).T


def _code_reader(states: Tensor, token_ids: Ids) -> Tensor:
    """Return the matrix (64, hidden) that reads the codeword of `token_ids` (N,); frequent ones weigh less."""
    weights = torch.from_numpy(np.bincount(token_ids)[token_ids] ** -0.5).float()
    return _fit(states, CODE_LENGTH * torch.from_numpy(unit_codes(token_ids)), weights)


def _flag(states: Tensor, is_set: Flags, length: float = CODE_LENGTH) -> Tensor:
    """Return the direction (hidden,) that reads `length` where `is_set` (N,), and about nothing elsewhere."""
    wanted = torch.from_numpy(is_set).float()
    share = wanted.mean()
    direction = _fit(states, wanted[:, None], wanted / share + (1 - wanted) / (1 - share))[0]
    return direction * length / (states[wanted > 0] @ direction).mean()


def _unused(stream: Tensor) -> Tensor:
    """Return a direction (hidden,) that `stream` (N, hidden) hardly uses, of a length that is seen there."""
    unit = functional.normalize(stream, dim=1)
    _, directions = torch.linalg.eigh(unit.T @ unit)
    unused: Tensor = directions[:, 0] * _MARK * stream.norm(dim=1).mean()
    return unused


@torch.no_grad()
def refit_heads(model: TinyGptOss, corpus: Corpus) -> None:
    """Set the heads again, by what the stream of `model` holds over some families of `corpus`."""
    observer = _Observer(model, corpus)
    writes = functional.normalize(model.out_codes, dim=1)
    seen = observer.look(1)
    verb_head = Head(model.blocks[1].attention, 2)
    verb_head.clear()
    set_verb_head(
        verb_head,
        Parts(_code_reader(seen.states, seen.token_ids), writes, _code_reader(seen.states, seen.before)),
        underscore=_flag(seen.states, is_name_end(seen.token_ids), _UNDERSCORE_LENGTH),
        after_noun=_flag(seen.states, np.isin(seen.token_ids, list(AFTER_NOUN))),
        scale=2.5,  # the note is read at half its length
        sink=46.0,
    )
    verb_head.mark(_unused(observer.look(3).stream))
    seen = observer.look(3)
    found = seen.is_after_noun
    call_head = Head(model.blocks[3].attention, 0)  # the one for parameters, which are found without it
    call_head.clear()
    set_call_head(
        call_head,
        found=_flag(seen.states, found),
        functions=_flag(seen.states, seen.token_ids == encode("functions")[0]),
        verbs=_code_reader(seen.states[torch.from_numpy(found)], seen.verbs[found]),
        writes=writes,
    )


def refit(path: Path, out: Path, data: list[Path]) -> None:
    """Read a model, set the heads, and write the model."""
    state = torch.load(path, weights_only=False)
    corpus = Corpus(data, 0, state["trained_ids"])
    torch.manual_seed(0)
    torch.set_num_threads(1)  # the tensors are too small for more
    model = TinyGptOss(ModelConfig(), len(corpus.trained_ids))
    model.load_state_dict(state["model"])
    refit_heads(model, corpus)
    torch.save({**state, "model": model.state_dict()}, out)


def main() -> None:
    """Refit what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--data", nargs="+", type=Path, required=True)
    options = parser.parse_args()
    refit(options.model, options.out, options.data)


if __name__ == "__main__":
    main()
