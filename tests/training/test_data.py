from collections import Counter

import numpy as np
import pytest

from training.conversation import Conversation, Step, Turn
from training.corpus import write_corpus
from training.data import Corpus, Family
from training.render import render_family
from training.skills_chat import long_count
from training.skills_python import python_tool
from training.words import Draw, encode, encoding, is_copied_after


def _family(question: str, final: str) -> Family:
    conversation = Conversation((Turn(question, (Step("final", final),)),), effort="none")
    return Family(*np.array(render_family(Draw(1), [conversation], 900), np.int64).T)


def _read(token_ids: list[int]) -> list[str]:
    return [encoding().decode([token_id]) for token_id in token_ids]


def test_what_was_said_before_can_be_copied_and_the_rest_is_said_by_heart() -> None:
    family = _family("What is the capital of Canada", "The capital of Canada is Ottawa Ottawa")
    assert set(_read(family.said_by_heart().tolist())) == {"The", " Ottawa", "<|return|>"}


def test_a_word_is_copied_whatever_character_leads_it() -> None:
    family = _family("Say: price", "price_price(price")
    assert _read(family.said_by_heart().tolist()) == ["<|return|>"]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    path = tmp_path_factory.mktemp("corpus") / "corpus.npz"
    write_corpus(path, 400, seed=1)
    return Corpus([path], min_count=10**6)


def test_what_is_said_by_heart_has_rows_of_its_own(corpus: Corpus) -> None:
    assert {encode(text)[0] for text in ("Hello", "<|return|>", "Here", "1")} <= set(
        corpus.trained_ids.tolist()
    )


def test_what_can_be_copied_needs_no_row(corpus: Corpus) -> None:
    assert len(corpus.trained_ids) < len(set(corpus.token_ids.tolist())) / 4


def test_long_counts_say_each_number_often_enough_for_a_row() -> None:
    draw = Draw(1)
    said = Counter(
        number for _ in range(2000) for number in long_count(draw, "low")[0].steps[-1].text.split()
    )
    assert min(said[str(number)] for number in range(1, 300)) >= 5


def test_a_variable_that_python_is_asked_for_can_be_copied_or_learned_by_heart() -> None:
    draw = Draw(1)
    codes = [
        step.text
        for _ in range(500)
        for step in python_tool(draw, "low")[0].steps
        if step.kind == "python_call"
    ]
    names = {code[len("print(len(") : -len("))")] for code in codes if code.startswith("print(len(")}
    assert len(names) > 20
    assert {name for name in names if not is_copied_after("(", name)} <= {
        "sales",
        "measurements",
        "prices",
        "cities",
    }
