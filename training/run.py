"""Make the embedded model from nothing: corpora, training, export. Under an hour on two quiet cores.

The first leg learns at the full rate. The second goes on at a falling one, with the experts rounded to MXFP4, and reviews what
takes longest to learn. The third begins where that rate ends, and learns to use the heads that were set again before it.

Usage: python -m training.run [--out training/out] [--tokens 5.3e6 3.6e6 5.3e6] [--families 12000] [--review-families 6000]
Then look at the rates with training.evaluate, and copy the file into jupyter_mlx_gpt_oss/demo/.
"""

import argparse
import multiprocessing
from pathlib import Path

from training.corpus import write_corpus
from training.export import export
from training.refit import refit
from training.train import parse_plan, train

_SEEDS = (1, 2)  # one corpus for each core
_REVIEW_SEEDS = 10  # above those
_HANDED_ON = "0.4"  # the rate between the second leg and the third: what is set again there is kept at it
_FIRST_LEG = ("--decay-from", "1", "--quantise-from", "1", "--seed", "1")
_SECOND_LEG = ("--repetition-steps", "0", "--end-rate", _HANDED_ON, "--seed", "2")
_THIRD_LEG = ("--repetition-steps", "0", "--peak-rate", _HANDED_ON, "--seed", "3")


def make_corpora(folder: Path, num_families: int, num_review_families: int) -> tuple[list[Path], list[Path]]:
    """Write one corpus and one review for each seed, side by side; return the paths of the corpora and the reviews."""
    corpora = [folder / f"corpus_{seed}.npz" for seed in _SEEDS]
    reviews = [folder / f"review_{seed}.npz" for seed in _SEEDS]
    context = multiprocessing.get_context("spawn")
    writers = [
        context.Process(target=_write, args=(corpus, num_families, review, num_review_families, seed))
        for corpus, review, seed in zip(corpora, reviews, _SEEDS, strict=True)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    if any(writer.exitcode for writer in writers):
        raise SystemExit("a corpus could not be written")
    return corpora, reviews


def _write(corpus: Path, num_families: int, review: Path, num_review_families: int, seed: int) -> None:
    write_corpus(corpus, num_families, seed)
    write_corpus(review, num_review_families, _REVIEW_SEEDS + seed, is_review=True)


def main() -> None:
    """Make the model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("training/out"))
    parser.add_argument(
        "--tokens", nargs=3, default=["5.3e6", "3.6e6", "5.3e6"], help="to train on, in each leg"
    )
    parser.add_argument("--families", type=int, default=12_000, help="of each corpus")
    parser.add_argument("--review-families", type=int, default=6_000, help="of each review")
    options = parser.parse_args()
    corpora, reviews = make_corpora(options.out, options.families, options.review_families)
    data = ["--data", *map(str, corpora)]
    first, second, refitted, third = (
        options.out / f"{name}.pt" for name in ("first_leg", "second_leg", "refitted", "model")
    )
    train(parse_plan([*data, "--out", str(first), "--tokens", options.tokens[0], *_FIRST_LEG]))
    data += map(str, reviews)
    init = ("--init", str(first))
    train(parse_plan([*data, *init, "--out", str(second), "--tokens", options.tokens[1], *_SECOND_LEG]))
    refit(second, refitted, [*corpora, *reviews])
    init = ("--init", str(refitted))
    train(parse_plan([*data, *init, "--out", str(third), "--tokens", options.tokens[2], *_THIRD_LEG]))
    export(third, options.out / "tiny_gptoss.safetensors")


if __name__ == "__main__":
    main()
