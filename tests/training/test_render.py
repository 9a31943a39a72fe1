import pytest

from training.conversation import Conversation, Effort, Step, Turn
from training.render import render_family
from training.words import Draw, encode


@pytest.mark.parametrize("effort", ["none", "low"])
def test_the_end_of_an_answer_weighs_as_much_as_what_was_decided_before_it(effort: Effort) -> None:
    steps = (Step("analysis", "Count from 1 to 3."), Step("final", "1 2 3"))
    tokens = render_family(Draw(1), [Conversation((Turn("Count to 3.", steps),), effort=effort)], 900)
    *_, last_number, end = [(token_id, weight) for token_id, weight, _ in tokens]
    assert last_number == (encode("3")[0], 1)
    assert end == (encode("<|return|>")[0], 3)
