"""What `%%oss` leaves in a kernel: few modules, and nothing of what it displayed."""

import gc
import os
import subprocess
import sys
import threading
from pathlib import Path

from jupyter_mlx_gpt_oss.magics.segments import Usage
from tests.magics.conftest import Notebook
from tests.support.canned_server import KEY, CannedServer, answer, calls_weather, delta, ending

NUM_CELLS = 8
HEAVY = ("mlx", "mlx_lm", "openai_harmony", "jupyter_server", "tornado", "openai", "numpy", "jupyter_client")
RUN = f"""
import sys
from IPython.core.interactiveshell import InteractiveShell

shell = InteractiveShell.instance()
shell.run_line_magic("load_ext", "jupyter_mlx_gpt_oss")
loaded = lambda: sorted({{*{HEAVY!r}, "pydantic"}} & set(sys.modules))
assert shell.run_cell("%%oss\\nHello").success
print(loaded(), file=sys.stderr)
shell.user_ns["Names"] = list[str]
assert shell.run_cell("%%oss --schema Names\\nHello").success
print(loaded(), file=sys.stderr)
"""


def test_a_plain_cell_loads_nothing_heavy_and_a_schema_only_pydantic(
    server: CannedServer, tmp_path: Path
) -> None:
    server.play(answer("Hello."), answer('["Ada"]'))
    environment = {"JUPYTER_MLX_GPT_OSS_URL": server.url, "JUPYTER_MLX_GPT_OSS_KEY": KEY}
    result = subprocess.run(
        [sys.executable, "-c", RUN],
        capture_output=True,
        text=True,
        check=True,
        env={"IPYTHONDIR": str(tmp_path), "PATH": os.environ["PATH"], "HOME": str(tmp_path), **environment},
    )

    assert result.stderr.splitlines() == ["[]", "['pydantic']"]


def _num_displayed() -> int:
    """How many pieces of a transcript, and displays of one, the kernel holds."""
    for thread in threading.enumerate():
        if isinstance(thread, threading.Timer):
            thread.join()  # it holds what it would have shown
    gc.collect()
    modules = tuple(
        f"jupyter_mlx_gpt_oss.magics.{name}" for name in ("display", "outputs", "segments", "transcript")
    )
    return sum(type(thing).__module__ in modules and type(thing) is not Usage for thing in gc.get_objects())


def test_of_what_cells_displayed_no_more_than_the_last_is_kept(
    notebook: Notebook, server: CannedServer
) -> None:
    seen: list[int] = []
    kept: list[int] = []

    def get_weather(city: str) -> str:
        seen.append(_num_displayed())
        return f"sunny in {city}"

    notebook.user_ns["get_weather"] = get_weather
    before = _num_displayed()  # of other tests
    for number in range(NUM_CELLS):
        server.play(
            [delta(reasoning="Hm. " * 100), *calls_weather()], [delta(content="Sunny. " * 1000), ending()]
        )
        assert notebook.run("%%oss -t get_weather\nHow is the weather?", f"cell-{number}") is None
        notebook.outputs.clear()
        kept.append(_num_displayed() - before)

    assert (
        max(kept) < 20
    )  # the last cell's, which its last update may hold a little longer; not those of all cells
    assert max(kept[NUM_CELLS // 2 :]) <= max(kept[: NUM_CELLS // 2])
    assert min(seen) > before
    assert len(notebook.user_ns["_"].conversation.turns) == NUM_CELLS
