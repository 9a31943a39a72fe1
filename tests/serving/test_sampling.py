"""A request's fields to the parameters that the engine takes."""

import pytest

from jupyter_mlx_gpt_oss.protocol.sampling_fields import SamplingFields
from jupyter_mlx_gpt_oss.serving.sampling import sampling_of


@pytest.mark.parametrize(
    ("asked", "taken"), [(None, 1.0), (0.0, 0.0), (1e-38, 0.0), (1e-5, 1e-5), (2.0, 2.0)]
)
def test_a_temperature_next_to_none_is_none(asked: float | None, taken: float) -> None:
    assert sampling_of(SamplingFields(temperature=asked), 0).temperature == taken
