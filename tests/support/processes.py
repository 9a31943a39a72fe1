"""The engine processes below a process."""

import psutil


def engine_workers(parent: psutil.Process) -> list[psutil.Process]:
    """Return the running engine processes that a process has started; not those that wait to be buried."""
    return [child for child in parent.children(recursive=True) if _is_engine_worker(child)]


def _is_engine_worker(process: psutil.Process) -> bool:
    try:
        return "jupyter_mlx_gpt_oss.worker" in process.cmdline()
    except psutil.NoSuchProcess:  # zombies are of this kind too
        return False
