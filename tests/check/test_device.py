"""What a system says of itself, from programs that answer as its own would."""

import platform
from pathlib import Path

import psutil
import pytest

from jupyter_mlx_gpt_oss.check.chips import bytes_per_second
from jupyter_mlx_gpt_oss.check.device import find_device


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the whole PATH."""
    monkeypatch.setenv("PATH", f"{tmp_path}")
    return tmp_path


def install(folder: Path, name: str, output: str, status: int = 0) -> None:
    file = folder / name
    file.write_text(f"#!/bin/sh\nprintf '%s' '{output}'\nexit {status}\n")
    file.chmod(0o755)


def test_a_mac_says_its_chip_and_the_cores_of_its_gpu(
    programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    install(programs, "sysctl", "Apple M4 Max")
    install(programs, "system_profiler", '{"SPDisplaysDataType": [{"sppci_cores": "32"}]}')
    device = find_device()
    assert (device.chip, device.num_gpu_cores) == ("Apple M4 Max", 32)
    assert device.bytes_per_second == 410e9
    assert device.memory_bytes > 0


def test_a_mac_that_says_nothing_is_unknown(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    install(programs, "sysctl", "", status=1)
    device = find_device()
    assert (device.chip, device.num_gpu_cores, device.bytes_per_second) == ("unknown", None, None)


def test_an_nvidia_gpu_is_named_with_its_own_memory(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    install(programs, "nvidia-smi", "NVIDIA H200, 143771")
    device = find_device()
    assert (device.chip, device.memory_bytes) == ("NVIDIA H200", 143_771 * 2**20)
    assert device.bytes_per_second == 4800e9


def test_a_gpu_that_shares_the_machines_memory_has_no_number_of_its_own(
    programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    install(programs, "nvidia-smi", "NVIDIA GB10, [N/A]")
    device = find_device()
    assert device.chip == "NVIDIA GB10"
    assert device.memory_bytes == psutil.virtual_memory().total


def test_a_processor_has_a_name_and_no_limit(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    del programs
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    device = find_device()
    assert device.chip
    assert device.bytes_per_second is None


@pytest.mark.parametrize(
    ("chip", "cores", "gigabytes"),
    [
        ("Apple M3 Max", 40, 400),
        ("Apple M3 Max", 30, 300),
        ("Apple M3 Ultra", None, 819),
        ("Apple M1", 7, 68),
    ],
)
def test_the_bandwidth_is_the_makers(chip: str, cores: int | None, gigabytes: int) -> None:
    assert bytes_per_second(chip, cores) == gigabytes * 1e9
