"""Make the embedded model from nothing: corpora, training, export. Under an hour on two quiet cores.

The first leg learns at the full rate, the second at a falling one, with the experts rounded to MXFP4.

Usage: python -m training.run [--out training/out] [--tokens 17e6 9e6] [--families 22000]
Then look at the rates with training.evaluate, and copy the file into jupyter_mlx_gpt_oss/demo/.
"""

import argparse
import multiprocessing
from pathlib import Path

from training.corpus import write_corpus
from training.export import export
from training.train import parse_plan, train

_SEEDS = (1, 2)  # one corpus for each core
_FIRST_LEG = ("--decay-from", "1", "--quantise-from", "1", "--port", "29511", "--seed", "1")
_SECOND_LEG = (
    "--repetition-steps",
    "0",
    "--port",
    "29512",
    "--seed",
    "2",
)  # a store may still hold the first port


def make_corpora(folder: Path, num_families: int) -> list[Path]:
    """Write one corpus of `num_families` for each seed, side by side, and return their paths."""
    paths = [folder / f"corpus_{seed}.npz" for seed in _SEEDS]
    context = multiprocessing.get_context("spawn")
    writers = [
        context.Process(target=write_corpus, args=(path, num_families, seed))
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
    parser.add_argument("--out", type=Path, default=Path("training/out"))
    parser.add_argument("--tokens", nargs=2, default=["17e6", "9e6"], help="to train on, in each leg")
    parser.add_argument("--families", type=int, default=22_000, help="families of each corpus")
    options = parser.parse_args()
    data = ["--data", *map(str, make_corpora(options.out, options.families))]
    first, second = options.out / "first_leg.pt", options.out / "model.pt"
    train(parse_plan([*data, "--out", str(first), "--tokens", options.tokens[0], *_FIRST_LEG]))
    init = ("--init", str(first))
    train(parse_plan([*data, *init, "--out", str(second), "--tokens", options.tokens[1], *_SECOND_LEG]))
    export(second, options.out / "tiny_gptoss.safetensors")


if __name__ == "__main__":
    main()
