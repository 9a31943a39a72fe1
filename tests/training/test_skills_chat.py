import pytest

from training.knowledge import FACTS
from training.skills_chat import count, echo, ignorance
from training.words import Draw


def _counts(draw: Draw) -> set[tuple[int, int]]:
    turns = (count(draw, "low")[0] for _ in range(6000))
    numbers = ([int(each) for each in turn.steps[-1].text.split()] for turn in turns)
    return {(each[0], each[-1]) for each in numbers}


def test_every_small_count_is_trained() -> None:
    trained = {last for first, last in _counts(Draw(1)) if first == 1}
    assert trained >= set(range(3, 21))


def test_the_evaluation_asks_for_counts_that_are_not_trained() -> None:
    held_out = _counts(Draw(1, is_held_out=True))
    assert len(held_out) > 300
    assert held_out & _counts(Draw(2)) == set()


def test_what_is_repeated_ends_in_a_point_now_and_then() -> None:
    draw = Draw(1)
    repeated = [echo(draw, "low")[0] for _ in range(500)]
    assert all(turn.user.endswith(turn.steps[-1].text) for turn in repeated)
    assert 50 < sum(turn.user[-1] in ".!?" for turn in repeated) < 200


def test_nothing_is_said_to_be_unknown_that_is_a_fact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Draw, "phrase", lambda draw, _: draw.pick("MLX", "Jupyter", "cheese"))
    draw = Draw(1)
    asked = {ignorance(draw, "low")[0].user for _ in range(500)}
    assert "Tell me about cheese." in asked
    assert asked & {question for entry in FACTS for question in entry.questions} == set()
