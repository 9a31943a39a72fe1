from dataclasses import replace

import numpy as np

from training.conversation import Conversation, Step, Tool, Turn
from training.data import Family
from training.lookups import find_lookups
from training.render import render_family
from training.words import Draw, encoding

_TOOLS = (Tool("find_price", "", None), Tool("get_size", "", None))
_FINAL = (Step("final", "It is the size of a house, the price. The colour of it."),)


def _family(*questions: str) -> Family:
    conversation = Conversation((), tools=_TOOLS, effort="none")
    family = [replace(conversation, turns=(Turn(question, _FINAL),)) for question in questions]
    return Family(*np.array(render_family(Draw(1), family, 900), np.int64).T)


def _read(token_id: np.int64) -> str:
    text: str = encoding().decode([int(token_id)])
    return text


def test_a_verb_is_looked_up_where_the_noun_of_its_tool_was_said() -> None:
    family = _family("What is the price of Ada, and the size?", "Tell me the colour of it.")
    lookups = find_lookups(family)
    found = [
        (_read(family.token_ids[index - 1]), _read(family.token_ids[index]), _read(lookups.verbs[index]))
        for index in np.nonzero(lookups.is_after_noun)[0]
    ]
    answer = [(" size", " of", " get"), (" price", ".", " find")]
    assert found == [(" price", " of", " find"), (" size", "?", " get"), *answer, *answer]


def test_nothing_is_looked_up_in_a_prologue_or_without_a_tool() -> None:
    family = _family("What is the price of Ada?")
    lookups = find_lookups(family)
    assert not lookups.is_after_noun[family.branches == 0].any()
    assert not find_lookups(replace(family, branches=np.ones_like(family.branches))).is_after_noun.any()
