"""Every reader of foreign text, fed with what is almost right and what is not. The long form is `benchmarks/fuzz.py`."""

import pytest
from hypothesis import given, settings

from tests.support.fuzz_targets import TARGETS


@pytest.mark.parametrize("name", TARGETS)
def test_nothing_that_is_fed_breaks_what_must_hold(name: str) -> None:
    target = TARGETS[name]
    settings(max_examples=100, deadline=None, database=None)(given(target.inputs)(target.check))()
