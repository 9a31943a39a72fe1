"""Set the head that looks up a tool's verb again, in a trained model that has unlearned it.

In a fresh model it is known where a codeword stands in the stream (`circuits.py`). In a trained one that is fitted: which
directions tell the token, the one before it, a leading `_`, and a `:`. The head looks as before, then; what it finds is
worth something after a little training.

Usage: python -m training.refit MODEL.pt OUT.pt --data CORPUS.npz...
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from jupyter_mlx_gpt_oss.demo.codes import LEADING_BYTES, leading_classes, unit_codes
from training.circuits import Head, set_verb_head
from training.data import Corpus, Flags, Ids
from training.model import ModelConfig, TinyGptOss
from training.train import Objective
from training.words import encode

_NUM_BATCHES = 60
_CODE_LENGTH = 11.0  # of a codeword in the stream, as in a fresh model
_RIDGE = 0.01


def _observed(model: TinyGptOss, corpus: Corpus) -> tuple[Tensor, Ids, Ids]:
    """Return what the second layer's attention sees (N, hidden), of which tokens (N,), and the tokens before those (N,)."""
    seen: list[Tensor] = []
    hook = model.blocks[1].attention.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    rng = np.random.default_rng(0)
    objective, batches = Objective(model, corpus, rng), corpus.batches(rng, max_tokens=1280)
    states, tokens, before = [], [], []
    for _ in range(_NUM_BATCHES):
        batch = next(batches)
        objective(batch, is_quantised=False)
        follows = (
            np.diff(batch.positions) == 1
        )  # the first token of a branch stands after another branch's last
        states.append(seen.pop()[1:][torch.from_numpy(follows)])
        tokens.append(batch.token_ids[1:][follows])
        before.append(batch.token_ids[:-1][follows])
    hook.remove()
    return torch.cat(states), np.concatenate(tokens), np.concatenate(before)


def _reader(states: Tensor, wanted: Tensor, token_ids: Ids) -> Tensor:
    """Return the matrix (D, hidden) that gives `wanted` (N, D) from `states` (N, hidden); frequent tokens weigh less."""
    weights = torch.from_numpy(np.bincount(token_ids)[token_ids] ** -0.5).float()[:, None]
    gram = (states * weights).T @ states
    gram += _RIDGE * gram.diagonal().mean() * torch.eye(len(gram))
    return torch.linalg.solve(gram, (states * weights).T @ wanted).T


@torch.no_grad()
def refit_verb_head(model: TinyGptOss, corpus: Corpus) -> None:
    """Set the head again, by what the stream of `model` holds over some batches of `corpus`."""
    states, tokens, before = _observed(model, corpus)

    def codes(token_ids: Ids) -> Tensor:
        return _CODE_LENGTH * torch.from_numpy(unit_codes(token_ids))

    def flag(is_set: Flags) -> Tensor:
        wanted = torch.from_numpy(is_set.astype(np.float32))[:, None]
        return _CODE_LENGTH * _reader(states, wanted, tokens)[0]

    head = Head(model.blocks[1].attention, 2)
    head.clear()
    set_verb_head(
        head,
        reads=_reader(states, codes(tokens), tokens),
        notes=_reader(states, codes(before), before),
        underscore=flag(leading_classes()[tokens] == LEADING_BYTES.index(b"_")),
        colon=flag(tokens == encode(":")[0]),
        writes=functional.normalize(model.out_codes, dim=1),
    )


def refit(path: Path, out: Path, data: list[Path]) -> None:
    """Read a model, set the head, and write the model."""
    state = torch.load(path, weights_only=False)
    corpus = Corpus(data, 0, state["trained_ids"])
    torch.manual_seed(0)
    torch.set_num_threads(1)  # the tensors are too small for more
    model = TinyGptOss(ModelConfig(), len(corpus.trained_ids))
    model.load_state_dict(state["model"])
    refit_verb_head(model, corpus)
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
