"""Run other people's suites against a real server: `python -m tests.external.run [--demo] [SUITE]...`.

Each is fetched from its package registry into `tests/external/out`. What they say is written to that folder too. README.md
has the counts, and the reason of each failure. Ends with 1 if a suite fails where README.md does not say why: openai's
tests are held to the table in openai_sdk.tsv, the others may not fail.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.external.compatcanary import run_compatcanary
from tests.external.openai_sdk import run_openai_sdk
from tests.external.schemathesis_run import run_schemathesis
from tests.support.jupyter_process import JupyterProcess
from tests.support.server_for_others import server_for_others
from tests.support.venvs import OUT, say

SUITES: dict[str, Callable[[JupyterProcess], bool]] = {
    "openai": run_openai_sdk,
    "compatcanary": run_compatcanary,
    "schemathesis": run_schemathesis,
}


def main() -> int:
    """Run the suites that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=", ".join(SUITES))
    parser.add_argument("--demo", action="store_true", help="answer with the embedded model")
    options = parser.parse_args()
    if unknown := set(options.suites) - set(SUITES):
        parser.error(f"no suite is named {' or '.join(sorted(unknown))}; there are {', '.join(SUITES)}")
    OUT.mkdir(exist_ok=True)
    failed = []
    for name in options.suites or SUITES:
        with (
            tempfile.TemporaryDirectory() as home,
            server_for_others(Path(home), is_demo=options.demo) as server,
        ):
            if not SUITES[name](server):
                failed.append(name)
    say(f"Not as README.md says: {', '.join(failed)}." if failed else "All as README.md says.")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
