"""Make the embedded model from nothing: corpora, training in two legs, export. Under an hour on two quiet cores.

Usage: python -m training.run [--out training/out] [--minutes 16 34]
Then look at the rates with training.evaluate, and copy the file into jupyter_mlx_gpt_oss/demo/.
"""

import argparse
import multiprocessing
from pathlib import Path

from training.corpus import write_corpus
from training.export import export
from training.train import parse_plan, train

_CONVERSATIONS_EACH = 40_000
_FIRST_PORT = 29_510
_SEEDS = ((1, 2), (11, 12))  # of the corpora of each leg, one corpus for each core
_OPTIONS = ([], ["--repetition-steps", "0", "--peak-rate", "0.7"])


def make_corpora(folder: Path, seeds: tuple[int, ...]) -> list[Path]:
    """Write one corpus for each seed, side by side, and return their paths."""
    paths = [folder / f"corpus_{seed}.npz" for seed in seeds]
    context = multiprocessing.get_context("spawn")
    writers = [
        context.Process(target=write_corpus, args=(path, _CONVERSATIONS_EACH, seed))
        for path, seed in zip(paths, seeds, strict=True)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    return paths


def main() -> None:
    """Make the model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, nargs=2, default=[16.0, 34.0], help="minutes of each leg")
    parser.add_argument("--out", type=Path, default=Path("training/out"))
    options = parser.parse_args()
    model: Path | None = None
    for leg, (seeds, more, minutes) in enumerate(zip(_SEEDS, _OPTIONS, options.minutes, strict=True), 1):
        data = [str(path) for path in make_corpora(options.out, seeds)]
        port = str(_FIRST_PORT + leg)  # the store of the leg before may still listen
        init = ["--init", str(model)] if model else []
        model = options.out / f"leg_{leg}.pt"
        train(
            parse_plan(
                [
                    "--data",
                    *data,
                    "--out",
                    str(model),
                    "--minutes",
                    str(minutes),
                    "--port",
                    port,
                    *more,
                    *init,
                ]
            )
        )
    assert model is not None
    export(model, options.out / "tiny_gptoss.safetensors")


if __name__ == "__main__":
    main()
