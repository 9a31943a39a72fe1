"""mlx-lm to the part of it that computes: its models and their loading, without its tokenizers.

An engine reads and writes token ids alone. mlx-lm's own `__init__` imports all of it, its tokenizers bring transformers, and
that took most of an engine's start: 1.7 of 2.2 seconds of processor time for its imports.
"""

import sys
from importlib.util import find_spec, module_from_spec
from types import ModuleType

from typing_extensions import override

_PACKAGE = "mlx_lm"
_TOKENIZERS = f"{_PACKAGE}.tokenizer_utils"


class _Absent(ModuleType):
    """A module whose every name is None: mlx-lm's loader imports names of its tokenizers, and calls none for a model."""

    @override
    def __getattr__(self, name: str) -> None:
        if name.startswith("__"):
            raise AttributeError(name)


def leave_out_tokenizers() -> None:
    """Have later imports of mlx-lm's modules in this process do without its `__init__` and its tokenizers.

    For the engine's own process. Where mlx-lm is there already nothing changes.
    """
    spec = find_spec(_PACKAGE)
    if _PACKAGE in sys.modules or spec is None:
        return
    sys.modules[_PACKAGE] = module_from_spec(spec)
    sys.modules[_TOKENIZERS] = _Absent(_TOKENIZERS)
