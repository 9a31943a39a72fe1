"""Affine quantisation to 8 bits in groups of 64, in the layout of mlx.core.quantize.

A group of 64 numbers is stored as bytes with one scale and one bias: number = scale * byte + bias.
Source: mlx/backend/cpu/quantized.cpp.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

GROUP_SIZE = 64
BITS = 8
_LEVELS = 2**BITS - 1
_SMALLEST_SCALE = np.float32(1e-7)


class Quantised(NamedTuple):
    """A quantised matrix (rows, columns): packed (rows, columns / 4), scales and biases (rows, columns / 64)."""

    weight: npt.NDArray[np.uint32]
    scales: npt.NDArray[np.float32]
    biases: npt.NDArray[np.float32]


def quantise(matrix: npt.NDArray[np.float32]) -> Quantised:
    """Quantise the rows of `matrix`; the number of columns is a multiple of 64."""
    rows, columns = matrix.shape
    groups = matrix.reshape(rows, columns // GROUP_SIZE, GROUP_SIZE)
    smallest, largest = groups.min(axis=-1), groups.max(axis=-1)
    is_low_edge = np.abs(smallest) > np.abs(largest)
    scales = np.maximum((largest - smallest) / np.float32(_LEVELS), _SMALLEST_SCALE)
    scales = np.where(is_low_edge, scales, -scales)
    edges = np.where(is_low_edge, smallest, largest)
    steps = np.rint(edges / scales)  # the larger edge falls on a whole step, so that zero is exact
    has_steps = steps != 0
    scales = np.where(has_steps, edges / np.where(has_steps, steps, 1), scales)
    biases = np.where(has_steps, edges, np.float32(0))
    levels = np.clip(np.rint((groups - biases[..., None]) / scales[..., None]), 0, _LEVELS)
    packed = levels.astype(np.uint8).reshape(rows, columns).view(np.uint32)
    return Quantised(packed, scales.astype(np.float32), biases.astype(np.float32))
