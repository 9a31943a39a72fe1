"""How much memory a device can still give, by what MLX tells of it."""

import pytest

from jupyter_mlx_gpt_oss.worker.memory import usable_bytes

GIB = 1 << 30


@pytest.mark.parametrize(
    ("info", "expected"),
    [
        ({"max_recommended_working_set_size": 20 * GIB, "memory_size": 32 * GIB}, 17 * GIB),  # Metal
        ({"max_recommended_working_set_size": 2 * GIB}, 0),
        ({"total_memory": 80 * GIB, "free_memory": 60 * GIB}, 60 * GIB),  # CUDA
        ({}, 5 * GIB),
    ],
)
def test_a_gpu_gives_what_it_tells_of(info: dict[str, int], expected: int) -> None:
    assert usable_bytes(info, active_bytes=3 * GIB, host_bytes=5 * GIB) == expected
