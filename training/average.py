"""Average the weights of models that went on from each other into one.

The ends of legs at low rates lie around a better model than each of them is (Izmailov et al. 2018, arXiv:1803.05407).

Usage: python -m training.average OUT.pt MODEL.pt MODEL.pt...
"""

import argparse
from pathlib import Path

import torch


def average(models: list[Path], out: Path) -> None:
    """Write the average of `models`, which have rows for the same tokens."""
    states = [torch.load(path, weights_only=False) for path in models]
    trained_ids = states[0]["trained_ids"]
    for path, state in zip(models, states, strict=True):
        if state["trained_ids"].tolist() != trained_ids.tolist():
            raise SystemExit(
                f"{path} has rows for other tokens than {models[0]}: average legs of one training run"
            )
    names = states[0]["model"]
    mean = {name: sum(state["model"][name] for state in states) / len(states) for name in names}
    torch.save({"model": mean, "trained_ids": trained_ids}, out)


def main() -> None:
    """Average what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("models", type=Path, nargs="+")
    options = parser.parse_args()
    average(options.models, options.out)


if __name__ == "__main__":
    main()
