"""Checkpoints with random weights, made once a session."""

from pathlib import Path

import pytest

from benchmarks.make_checkpoint import make_checkpoint


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four layers, 1,024 tokens, in mlx-community's layout."""
    return make_checkpoint("tiny", tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def tiny_openai_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same shape in OpenAI's own layout."""
    return make_checkpoint("tiny", tmp_path_factory.mktemp("tiny-openai"), layout="openai")
