"""One unfolded checkpoint for all tests of this room."""

import json
from pathlib import Path
from typing import Any

import pytest

from jupyter_mlx_gpt_oss.demo import unfold


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return unfold(tmp_path_factory.mktemp("demo") / "checkpoint")


@pytest.fixture(scope="session")
def config(checkpoint: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((checkpoint / "config.json").read_text("utf-8"))
    return document
