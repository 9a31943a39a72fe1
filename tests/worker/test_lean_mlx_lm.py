"""The engine process has mlx-lm's models, and none of what it never needs of mlx-lm."""

import subprocess
import sys
from pathlib import Path

from benchmarks.engine_start import START

LOADED = START + "print('mlx_lm.models.gpt_oss' in sys.modules, 'transformers' in sys.modules)"
TWICE = """
from jupyter_mlx_gpt_oss.worker.lean_mlx_lm import leave_out_tokenizers

leave_out_tokenizers()
leave_out_tokenizers()
import mlx_lm.utils
print(mlx_lm.utils.load_model.__name__)
"""
BEHIND = """
import mlx_lm
from jupyter_mlx_gpt_oss.worker.lean_mlx_lm import leave_out_tokenizers

leave_out_tokenizers()
from mlx_lm import stream_generate
print(stream_generate.__name__)
"""


def run(program: str, *arguments: str) -> str:
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_an_engine_that_has_loaded_has_not_imported_transformers(tiny_checkpoint: Path) -> None:
    assert run(LOADED, str(tiny_checkpoint)).splitlines()[-1] == "True False"


def test_to_ask_for_it_twice_is_to_ask_for_it_once() -> None:
    assert run(TWICE) == "load_model\n"


def test_an_mlx_lm_that_was_imported_before_stays_whole() -> None:
    assert run(BEHIND) == "stream_generate\n"
