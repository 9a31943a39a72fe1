"""Make the embedded model from nothing: corpora, training, export. Under an hour on two quiet cores.

Usage: python -m training.run [--out training/out] [--tokens 23e6]
Then look at the rates with training.evaluate, and copy the file into jupyter_mlx_gpt_oss/demo/.
"""

import argparse
import multiprocessing
from pathlib import Path

from training.corpus import write_corpus
from training.export import export
from training.train import parse_plan, train

_CONVERSATIONS_EACH = 60_000
_SEEDS = (1, 2)  # one corpus for each core


def make_corpora(folder: Path, conversations_each: int) -> list[Path]:
    """Write one corpus for each seed, side by side, and return their paths."""
    paths = [folder / f"corpus_{seed}.npz" for seed in _SEEDS]
    context = multiprocessing.get_context("spawn")
    writers = [
        context.Process(target=write_corpus, args=(path, conversations_each, seed))
        for path, seed in zip(paths, _SEEDS, strict=True)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    return paths


def main() -> None:
    """Make the model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", default="23e6", help="tokens to train on")
    parser.add_argument("--out", type=Path, default=Path("training/out"))
    parser.add_argument("--conversations", type=int, default=_CONVERSATIONS_EACH, help="of each corpus")
    options = parser.parse_args()
    data = [str(path) for path in make_corpora(options.out, options.conversations)]
    model = options.out / "model.pt"
    train(parse_plan(["--data", *data, "--out", str(model), "--tokens", options.tokens]))
    export(model, options.out / "tiny_gptoss.safetensors")


if __name__ == "__main__":
    main()
