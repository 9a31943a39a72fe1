"""Turns that are kept, found and forgotten."""

import pytest

from jupyter_mlx_gpt_oss.harmony.messages import AssistantMessage, ToolCall
from jupyter_mlx_gpt_oss.serving.turn_memory import SampledTurn, TurnMemory

CALL = ToolCall("look", '{"at": "sky"}')
TURN = AssistantMessage("Hm.", "I look.", (CALL,))
TOKENS = (200_006, 173_781, 200_012)


def memory(max_items: int = 10, max_bytes: int = 10_000) -> TurnMemory:
    turns = TurnMemory(max_items=max_items, max_bytes=max_bytes)
    turns.keep("ann", "call_1", TOKENS, TURN)
    return turns


@pytest.mark.parametrize("reasoning", ["", "Hm."])
def test_a_turn_is_found_with_its_reasoning_and_without_it(reasoning: str) -> None:
    assert memory().find("ann", "call_1", AssistantMessage(reasoning, "I look.", (CALL,))) == TOKENS


@pytest.mark.parametrize(
    "edited",
    [
        AssistantMessage("Oh.", "I look.", (CALL,)),
        AssistantMessage("", "", (CALL,)),
        AssistantMessage("", "I look.", ()),
        AssistantMessage("", "I look.", (CALL, CALL)),
        AssistantMessage("", "I look.", (ToolCall("see", CALL.arguments),)),
        AssistantMessage("", "I look.", (ToolCall("look", '{"at": "Sky"}'),)),
        AssistantMessage("", "I look.", (ToolCall("look", "{"),)),
        AssistantMessage("", "I look.", (ToolCall("look", "[" * 100_000),)),
    ],
)
def test_an_edited_turn_is_not_found(edited: AssistantMessage) -> None:
    assert memory().find("ann", "call_1", edited) == ()


@pytest.mark.parametrize(
    ("sent", "back", "is_same"),
    [
        ('{"a": 1, "b": [true]}', '{"b":[true],"a":1}', True),
        ('{"a": "\\u00e9"}', '{"a": "é"}', True),
        ('{"a": 1}', '{"a": true}', False),
        ('{"a": 1}', '{"a": 1.0}', False),
        ('{"a": ', '{"a": ', True),
        ('{"a": ', '{"a":', False),
    ],
)
def test_arguments_may_be_written_another_way(sent: str, back: str, is_same: bool) -> None:
    turns = memory()
    turns.keep("ann", "call_2", TOKENS, AssistantMessage("", "", (ToolCall("look", sent),)))
    found = turns.find("ann", "call_2", AssistantMessage("", "", (ToolCall("look", back),)))
    assert found == (TOKENS if is_same else ())


def test_a_turn_belongs_to_the_caller_who_had_it() -> None:
    assert memory().find("bob", "call_1", TURN) == ()
    assert memory().find("ann", "call_2", TURN) == ()


def test_the_least_recently_used_turn_goes_first() -> None:
    turns = memory(max_items=2)
    turns.keep("ann", "call_2", TOKENS, TURN)
    turns.find("ann", "call_1", TURN)
    turns.keep("ann", "call_3", TOKENS, TURN)
    found = [turn_id for turn_id in ("call_1", "call_2", "call_3") if turns.find("ann", turn_id, TURN)]
    assert found == ["call_1", "call_3"]


def test_bytes_are_bounded_and_a_turn_that_is_too_large_drives_out_no_other() -> None:
    turns = memory(max_bytes=2000)
    turns.keep("ann", "call_2", TOKENS * 1000, TURN)
    assert turns.find("ann", "call_1", TURN) == TOKENS
    for number in range(3, 50):
        turns.keep("ann", f"call_{number}", TOKENS, TURN)
    assert 1 < len(turns) < 20


def test_a_turn_that_is_kept_again_is_counted_once() -> None:
    turns = memory(max_bytes=2000)
    for _ in range(100):
        turns.keep("ann", "call_1", TOKENS, TURN)
    turns.keep("ann", "call_2", TOKENS, TURN)
    assert len(turns) == 2


def test_a_memory_of_no_turns_keeps_none() -> None:
    assert len(memory(max_items=0)) == len(memory(max_bytes=0)) == 0


def test_the_size_of_a_turn_grows_with_its_tokens_and_its_texts() -> None:
    turns = memory()
    turns.keep("ann", "call_2", TOKENS, AssistantMessage("", "", ()))
    small = SampledTurn(turns._turns["ann", "call_2"].token_ids, AssistantMessage("", "", ()))
    large = SampledTurn(small.token_ids * 100, AssistantMessage("", "x" * 1000, ()))
    assert large.num_bytes >= small.num_bytes + 1000 + 99 * 3 * 4
