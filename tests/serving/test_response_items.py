"""Items of a response's input as chat messages."""

from typing import Any

import pytest

from jupyter_mlx_gpt_oss.errors import InvalidRequestError
from jupyter_mlx_gpt_oss.serving.response_items import kind_of, messages_of
from jupyter_mlx_gpt_oss.serving.response_question import shortened


def said(text: str) -> dict[str, Any]:
    return {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": text}]}


def thought(text: str) -> dict[str, Any]:
    return {
        "type": "reasoning",
        "summary": [],
        "content": [{"type": "reasoning_text", "text": text}],
    }


def called(call_id: str) -> dict[str, Any]:
    return {"type": "function_call", "call_id": call_id, "name": "look", "arguments": "{}"}


def result(call_id: str) -> dict[str, Any]:
    return {
        "type": "function_call_output",
        "call_id": call_id,
        "output": [{"type": "input_text", "text": "x"}],
    }


def test_what_the_assistant_did_in_one_turn_is_one_message() -> None:
    items = [thought("A"), said("P"), thought("B"), called("c1"), called("c2"), result("c1"), result("c2")]
    turn, *results = messages_of((), items)
    assert (turn["reasoning"], turn["content"]) == ("A\nB", "P")
    assert [call["id"] for call in turn["tool_calls"]] == ["c1", "c2"]
    assert results == [
        {"role": "tool", "tool_call_id": "c1", "content": "x"},
        {"role": "tool", "tool_call_id": "c2", "content": "x"},
    ]


def test_turns_of_the_assistant_stay_apart() -> None:
    user = {"role": "user", "content": "Hi"}
    items = [said("one"), said("two"), user, thought("A"), called("c1"), thought("B"), said("three")]
    messages = messages_of((), items)
    assert [message["content"] for message in messages] == ["one", "two", "Hi", "", "three"]


def test_reasoning_without_its_text_is_taken() -> None:
    encrypted = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "x"}
    (message,) = messages_of((), [encrypted, said("Yes.")])
    assert message["content"] == "Yes."


@pytest.mark.parametrize(
    ("item", "kind"),
    [
        ({"role": "user", "content": "Hi"}, "message"),
        ({"type": None, "role": "user", "content": "Hi"}, "message"),
        ({"type": None, "id": "msg_1", "role": "assistant", "content": "Hi"}, "message"),
        ({"id": "msg_1"}, "item_reference"),
        ({"type": None, "id": "msg_1"}, "item_reference"),
        ({"type": "reasoning", "id": "rs_1"}, "reasoning"),
    ],
)
def test_messages_and_references_need_not_say_what_they_are(item: dict[str, Any], kind: str) -> None:
    assert kind_of(item, "input[0]") == kind


@pytest.mark.parametrize("item", [{}, {"type": None}, {"id": "rs_1", "summary": []}, {"type": 1, "id": "a"}])
def test_all_else_has_to_say_what_it_is(item: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequestError) as error:
        kind_of(item, "input[0]")
    assert error.value.param == "input[0].type"


def test_the_oldest_turns_go_and_instructions_and_the_last_question_stay() -> None:
    rules = {"role": "developer", "content": "rules"}
    turns = [{"role": "user", "content": str(number) * 100} for number in range(4)]
    assert shortened([rules, *turns], 0.01) == [rules, *turns[1:]]
    assert shortened([rules, *turns], 0.6) == [rules, turns[3]]
    assert shortened([rules, turns[3]], 0.9) == [rules, turns[3]]


def test_the_result_of_a_call_that_goes_goes_too() -> None:
    call = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    result = {"role": "tool", "tool_call_id": "call_1", "content": "5"}
    before: list[dict[str, Any]] = [
        {"role": "user", "content": "a" * 100},
        {"role": "assistant", "content": "", "tool_calls": [call]},
    ]
    last: dict[str, Any] = {"role": "user", "content": "b"}
    assert shortened([*before, last, result], 0.5) == [last]
    assert shortened([before[0], last, before[1], result], 0.5) == [last, before[1], result]


def test_instructions_that_stay_do_not_count_for_what_goes() -> None:
    rules = {"role": "system", "content": "r" * 1_000}
    turns = [{"role": "user", "content": str(number) * 100} for number in range(8)]
    assert shortened([rules, *turns], 0.2) == [rules, *turns[4:]]
    assert shortened([rules, *turns], 0.6) == [rules, turns[7]]
