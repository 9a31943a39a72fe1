import mlx.core as mx
import numpy as np
import numpy.typing as npt
import pytest

from jupyter_mlx_gpt_oss.demo.affine import quantise


def _matrix(kind: str) -> npt.NDArray[np.float32]:
    normal = np.random.default_rng(0).normal(size=(50, 128)).astype(np.float32)
    changes = {"normal": normal, "positive": np.abs(normal), "negative": -np.abs(normal), "zero": normal * 0}
    return changes[kind]


@pytest.mark.parametrize("kind", ["normal", "positive", "negative", "zero"])
def test_quantising_equals_mlx(kind: str) -> None:
    matrix = _matrix(kind)

    expected = mx.quantize(mx.array(matrix), group_size=64, bits=8)

    for theirs, ours in zip(expected, quantise(matrix), strict=True):
        np.testing.assert_array_equal(np.array(theirs), ours)
