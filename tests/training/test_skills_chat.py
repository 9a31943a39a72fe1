import pytest

from training.knowledge import FACTS
from training.skills import PlainSkill
from training.skills_chat import count, echo, greet, ignorance, long_count
from training.words import Draw


def _counts(draw: Draw, skill: PlainSkill = count) -> set[tuple[int, int]]:
    turns = (skill(draw, "low")[0] for _ in range(6000))
    numbers = ([int(each) for each in turn.steps[-1].text.split()] for turn in turns)
    return {(each[0], each[-1]) for each in numbers}


def test_every_small_count_is_trained() -> None:
    trained = {last for first, last in _counts(Draw(1)) if first == 1}
    assert trained >= set(range(2, 21))


def test_a_long_count_from_1_ends_anywhere() -> None:
    draw = Draw(1)
    numbers = [long_count(draw, "low")[0].steps[-1].text.split() for _ in range(2000)]
    last = {int(each[-1]) for each in numbers if each[0] == "1"}
    assert len(last) > 150
    assert max(last) > 290


def test_the_longest_counts_do_not_all_begin_at_1() -> None:
    begun = {first for first, last in _counts(Draw(1), long_count) if last - first > 240}
    assert begun == set(range(1, 41))


def test_thanks_are_taken_without_anything_before() -> None:
    draw = Draw(1)
    turns = [greet(draw, "low") for _ in range(200)]
    thanks = [each[0] for each in turns if len(each) == 1 and "hank" in each[0].user]
    assert len(thanks) > 10
    assert {turn.steps[-1].text for turn in thanks} == {"You're welcome! 😊"}


@pytest.mark.parametrize("word", ["morning", "or", "b", "3"])
def test_short_and_unsteady_words_are_repeated_too(word: str) -> None:
    draw = Draw(1)
    assert any(word in echo(draw, "low")[0].steps[-1].text.split() for _ in range(4000))


@pytest.mark.parametrize("skill", [count, long_count])
def test_the_evaluation_asks_for_counts_that_are_not_trained(skill: PlainSkill) -> None:
    held_out = _counts(Draw(1, is_held_out=True), skill)
    assert len(held_out) > 300
    assert held_out & _counts(Draw(2), skill) == set()


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
