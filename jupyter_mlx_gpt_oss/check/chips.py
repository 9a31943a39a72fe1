"""A chip's name to its memory bandwidth, as its maker states it.

Sources: apple.com/mac technical specifications and newsroom, M1 (2020) to M5 Max (2026); NVIDIA's data sheets.
"""

GB_PER_SECOND = {
    "Apple M1": 68,
    "Apple M1 Pro": 200,
    "Apple M1 Max": 400,
    "Apple M1 Ultra": 800,
    "Apple M2": 100,
    "Apple M2 Pro": 200,
    "Apple M2 Max": 400,
    "Apple M2 Ultra": 800,
    "Apple M3": 100,
    "Apple M3 Pro": 150,
    "Apple M3 Max": 400,
    "Apple M3 Ultra": 819,
    "Apple M4": 120,
    "Apple M4 Pro": 273,
    "Apple M4 Max": 546,
    "Apple M5": 153,
    "Apple M5 Pro": 307,
    "Apple M5 Max": 614,
    "NVIDIA A100-SXM4-80GB": 2039,
    "NVIDIA H100 80GB HBM3": 3350,
    "NVIDIA H200": 4800,
    "NVIDIA GeForce RTX 4090": 1008,
    "NVIDIA GeForce RTX 5090": 1792,
}

GB_PER_SECOND_BY_GPU_CORES = {
    ("Apple M3 Max", 30): 300,
    ("Apple M4 Max", 32): 410,
    ("Apple M5 Max", 32): 460,
}
"""Chips that are sold with a part of their memory channels."""


def bytes_per_second(chip: str, num_gpu_cores: int | None) -> float | None:
    """Return the bandwidth of a chip's memory; None for a chip that is not known."""
    cores = num_gpu_cores or 0
    gigabytes = GB_PER_SECOND_BY_GPU_CORES.get((chip, cores)) or GB_PER_SECOND.get(chip)
    return None if gigabytes is None else gigabytes * 1e9
