import re
from collections import Counter

import pytest

from jupyter_mlx_gpt_oss.demo import base_token_ids
from training.declarations import nouns
from training.knowledge import CAPITALS, CODE, EMOJI_LISTS, FACTS, TABLES
from training.texts import LONG_TEXTS, TEXTS
from training.words import Draw, encode, encoding

_KNOWN_BY_HEART = [
    text
    for entry in (*FACTS, *EMOJI_LISTS, *TABLES, *CODE, *TEXTS, *LONG_TEXTS)
    for text in (*entry.questions, entry.analysis, entry.answer)
] + [f"{country}: {capital}" for country, capital in CAPITALS.items()]


@pytest.mark.parametrize("is_held_out", [True, False])
def test_a_noun_has_the_same_codeword_in_a_question_and_in_the_name_of_a_tool(is_held_out: bool) -> None:
    bases = base_token_ids()
    known = nouns(is_held_out=is_held_out)
    assert len(known) > 30
    assert [noun for noun in known if bases[encode(f" {noun}")[0]] != bases[encode(f"_{noun}")[0]]] == []


def test_no_word_that_is_held_out_stands_in_a_text_that_is_known_by_heart() -> None:
    draw = Draw(1, is_held_out=True)
    spelled = {encoding().decode([token]).strip() for text in _KNOWN_BY_HEART for token in encode(text)}
    words = {word for text in _KNOWN_BY_HEART for word in re.findall(r"\w+", text)}
    drawn = {draw.rare_word() for _ in range(4000)}
    assert {word for word in drawn if len(encode(word)) == 1} & spelled == set()
    assert {draw.name() for _ in range(1000)} & words == set()
    assert {draw.city() for _ in range(1000)} & words == set()


def test_the_corpus_draws_nothing_that_is_held_out() -> None:
    trained, held_out = Draw(1), Draw(1, is_held_out=True)
    assert {trained.name() for _ in range(2000)} & {held_out.name() for _ in range(2000)} == set()
    assert {trained.city() for _ in range(2000)} & {held_out.city() for _ in range(2000)} == set()
    assert set(nouns(is_held_out=False)) & set(nouns(is_held_out=True)) == set()
    large = {number for number in (trained.number() for _ in range(2000)) if number > 20}
    assert large & {held_out.number() for _ in range(2000)} == set()


def test_words_of_what_is_known_by_heart_are_asked_for_as_other_words_are() -> None:
    draw = Draw(1)
    drawn = Counter(draw.rare_word() for _ in range(50_000))
    assert min(drawn[word] for word in ("tea", "cat", "dog", "red", "sea", "table", "girl")) >= 3


def test_the_evaluation_draws_cities_of_two_words_that_the_corpus_does_not_have() -> None:
    held_out, trained = Draw(1, is_held_out=True), Draw(2)
    words = {word for city in (held_out.city() for _ in range(1000)) if " " in city for word in city.split()}
    assert len(words) > 50
    assert words & {word for city in (trained.city() for _ in range(5000)) for word in city.split()} == set()
