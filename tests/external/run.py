"""Run other people's suites against a real server: `python -m tests.external.run [SUITE]...`.

Each is fetched from its package registry into `tests/external/out`. What they say is written to that folder too; the
counts stand in README.md. Ends with 1 if a suite fails where README.md does not say why.
"""

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.external.compatcanary import run_compatcanary
from tests.external.openai_sdk import run_openai_sdk
from tests.external.schemathesis_run import run_schemathesis
from tests.support.able_server import able_server
from tests.support.jupyter_process import JupyterProcess
from tests.support.venvs import OUT, say

SUITES: dict[str, Callable[[JupyterProcess], bool]] = {
    "openai": run_openai_sdk,
    "compatcanary": run_compatcanary,
    "schemathesis": run_schemathesis,
}


def main(names: list[str]) -> int:
    """Run the named suites, or all."""
    OUT.mkdir(exist_ok=True)
    failed = []
    for name in names or SUITES:
        with tempfile.TemporaryDirectory() as home, able_server(Path(home)) as server:
            if not SUITES[name](server):
                failed.append(name)
    say(f"Not as README.md says: {', '.join(failed)}." if failed else "All as README.md says.")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
