"""This machine to what a report may say of it: chip, cores of its GPU, memory. No name of a host or a user."""

import json
import platform
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import psutil

from jupyter_mlx_gpt_oss.check.chips import bytes_per_second

_PATIENCE_SECONDS = 20.0  # system_profiler takes one or two


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A machine, or its GPU where that has a memory of its own."""

    system: str
    """Such as `macOS 15.3 arm64`."""
    chip: str
    num_gpu_cores: int | None
    """Of an Apple chip."""
    memory_bytes: int
    """That the model can be in: the GPU's own, or the machine's."""

    @property
    def bytes_per_second(self) -> float | None:
        """Of the memory; None for a chip that is not known."""
        return bytes_per_second(self.chip, self.num_gpu_cores)


def find_device() -> Device:
    """Ask the system. What it does not say is `unknown` or None."""
    memory_bytes = psutil.virtual_memory().total
    if platform.system() == "Darwin":
        chip, cores = _output("sysctl", "-n", "machdep.cpu.brand_string"), _apple_gpu_cores()
        system = f"macOS {platform.mac_ver()[0]} {platform.machine()}"
        return Device(system=system, chip=chip or "unknown", num_gpu_cores=cores, memory_bytes=memory_bytes)
    system = f"{platform.system()} {platform.machine()}"  # a kernel's release may carry somebody's name
    chip, _, mebibytes = _nvidia_gpu().rpartition(",")
    if mebibytes.strip().isdecimal():  # not so where the GPU shares the machine's memory
        memory_bytes = int(mebibytes) * 1024**2
    return Device(system=system, chip=chip or _processor(), num_gpu_cores=None, memory_bytes=memory_bytes)


def _apple_gpu_cores() -> int | None:
    profile = _output("system_profiler", "SPDisplaysDataType", "-json")
    displays = json.loads(profile)["SPDisplaysDataType"] if profile else []
    cores = [display["sppci_cores"] for display in displays if "sppci_cores" in display]
    return int(cores[0]) if cores else None


def _nvidia_gpu() -> str:
    """Return name and mebibytes of the first GPU, with a comma between; empty where there is none."""
    lines = _output("nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader,nounits")
    return lines.partition("\n")[0]


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux, or a container without it
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown"


def _output(program: str, *arguments: str) -> str:
    """Return what a program of the system prints; empty where it is missing or fails."""
    path = shutil.which(program)
    if path is None:
        return ""
    try:
        done = subprocess.run(  # noqa: S603  a program of the system, with fixed arguments
            [path, *arguments], capture_output=True, text=True, timeout=_PATIENCE_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.strip()
