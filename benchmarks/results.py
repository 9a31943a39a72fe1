"""What a benchmark found, kept as JSON below benchmarks/out/: one file a benchmark, one entry a thing measured.

A run that measures a part of it, such as one scenario, leaves the entries of the others as they are.
"""

import json
from collections.abc import Mapping
from pathlib import Path

OUT = Path(__file__).parent / "out"


def keep(benchmark: str, found: Mapping[str, object]) -> None:
    """Put entries into a benchmark's file; those of the same name are replaced, whole.

    Args:
        benchmark: the file's name without its ending.
        found: what JSON can hold, by name.
    """
    OUT.mkdir(parents=True, exist_ok=True)
    file = OUT / f"{benchmark}.json"
    known: dict[str, object] = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    file.write_text(json.dumps({**known, **found}, indent=1), encoding="utf-8")
