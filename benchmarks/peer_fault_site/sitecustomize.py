"""Make one step of a model raise: Python imports this in a process whose PYTHONPATH names this folder.

The next layer norm that is computed once the file in PEER_FAULT exists takes that file away, and raises.
"""

import os
from pathlib import Path
from typing import Any

try:
    from mlx import nn
except ImportError:  # a process without a model
    pass
else:
    _FAULT = Path(os.environ["PEER_FAULT"])
    _normalise = nn.RMSNorm.__call__

    def _normalise_or_raise(norm: Any, hidden: Any) -> Any:
        try:
            _FAULT.unlink()
        except OSError:
            return _normalise(norm, hidden)
        raise RuntimeError("a step that raises, for benchmarks.peer_faults")

    nn.RMSNorm.__call__ = _normalise_or_raise
