"""What `%%oss` costs a kernel: the seconds of `%load_ext`, and the memory of a long notebook.

    python -m benchmarks.kernel_cost [--cells 200]

The seconds are those of new processes that have IPython already, as a kernel has. The memory is the resident set of a
kernel's shell after each quarter of the cells, each of which streams an answer of about 4,000 tokens that the shell
displays; the conversation starts over in each, so that what grows would be what was displayed.
"""

import argparse
import gc
import os
import statistics
import subprocess
import sys
from typing import Any

import psutil
from IPython.core.displaypub import DisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from typing_extensions import override

from tests.support.canned_server import KEY, canned_server, delta, ending

LOAD = """
import time
from IPython.core.interactiveshell import InteractiveShell
import ipykernel.zmqshell
shell = InteractiveShell.instance()
started = time.perf_counter()
shell.run_line_magic("load_ext", "jupyter_mlx_gpt_oss")
print(time.perf_counter() - started)
"""
NUM_LOADS = 7
NUM_CHUNKS = 400
CHUNK = "It was a dark and stormy night, and the **kernel** was busy. "
MEGABYTE = 1_000_000


class Silent(DisplayPublisher):
    """Displays nothing, as a kernel's publisher keeps nothing of what it has sent."""

    @override
    def publish(self, data: Any, metadata: Any = None, source: Any = None, **kwargs: Any) -> None:
        return


def load_seconds() -> float:
    """Return the seconds of `%load_ext` in a new process."""
    result = subprocess.run([sys.executable, "-c", LOAD], capture_output=True, text=True, check=True)
    return float(result.stdout)


def resident_megabytes() -> float:
    """Return the memory of this process."""
    gc.collect()
    return psutil.Process().memory_info().rss / MEGABYTE


def main() -> None:
    """Measure both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=200)
    num_cells = parser.parse_args().cells
    seconds = [load_seconds() for _ in range(NUM_LOADS)]
    print(f"%load_ext: median {statistics.median(seconds):.3f} s, most {max(seconds):.3f} s of {NUM_LOADS}")
    make: Any = InteractiveShell
    shell = make(display_pub_class=Silent)
    with canned_server() as server:
        os.environ |= {"JUPYTER_MLX_GPT_OSS_URL": server.url, "JUPYTER_MLX_GPT_OSS_KEY": KEY}
        shell.run_line_magic("load_ext", "jupyter_mlx_gpt_oss")
        print(f"before: {resident_megabytes():.1f} MB")
        for number in range(1, num_cells + 1):
            server.play([*(delta(content=CHUNK * 10) for _ in range(NUM_CHUNKS // 10)), ending()])
            shell.run_cell("%%oss --new\nGo.")
            server.requests.clear()
            if number % (num_cells // 4) == 0:
                print(f"after {number} cells: {resident_megabytes():.1f} MB", flush=True)


if __name__ == "__main__":
    main()
