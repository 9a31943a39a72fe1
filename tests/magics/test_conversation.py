from typing import Any

from jupyter_mlx_gpt_oss.magics.conversation import CellKeys, Conversation, Turn


def turn(key: str, text: str, system: str | None = None, *, starts_over: bool = False) -> Turn:
    messages = ({"role": "user", "content": text}, {"role": "assistant", "content": text.upper()})
    return Turn(key, messages, system, starts_over)


def texts(conversation: Conversation) -> list[str]:
    return [message["content"] for message in conversation.messages if message["role"] != "assistant"]


def test_turns_are_continued_in_order() -> None:
    conversation = Conversation("main", [turn("a", "one"), turn("b", "two")])

    assert [message["content"] for message in conversation.messages] == ["one", "ONE", "two", "TWO"]


def test_a_cell_that_runs_again_drops_its_turn_and_what_followed() -> None:
    conversation = Conversation("main", [turn("a", "one"), turn("b", "two"), turn("c", "three")])

    conversation.rewind("b")

    assert texts(conversation) == ["one"]


def test_a_new_cell_drops_nothing() -> None:
    conversation = Conversation("main", [turn("a", "one")])

    conversation.rewind("b")

    assert texts(conversation) == ["one"]


def test_the_system_message_stands_first_and_stays_until_another_comes() -> None:
    conversation = Conversation("main", [turn("a", "one", "Be brief."), turn("b", "two")])
    assert texts(conversation) == ["Be brief.", "one", "two"]

    assert texts(conversation.with_turn(turn("c", "three", "Be long."))) == [
        "Be long.",
        "one",
        "two",
        "three",
    ]


def test_starting_over_leaves_earlier_turns_out() -> None:
    conversation = Conversation("main", [turn("a", "one", "Be brief."), turn("b", "two", starts_over=True)])

    assert texts(conversation) == ["two"]


def test_a_notebook_run_twice_from_the_top_is_the_same_conversation() -> None:
    notebook = [turn("a", "one"), turn("b", "two", starts_over=True), turn("c", "three")]
    conversation = Conversation()
    histories = []
    for cell in [*notebook, *notebook]:
        conversation.rewind(cell.cell_key)
        histories.append(texts(conversation.with_turn(cell)))
        conversation.turns.append(cell)

    assert histories[:3] == histories[3:] == [["one"], ["two"], ["two", "three"]]


def request(cell_id: str | None, run: int) -> dict[str, Any]:
    return {"header": {"msg_id": str(run)}, "metadata": {} if cell_id is None else {"cellId": cell_id}}


def test_a_cell_keeps_its_key_when_its_text_changes() -> None:
    keys = CellKeys()

    assert keys.next_key(request("a", 1), "one", None) == keys.next_key(request("a", 2), "two", None)
    assert keys.next_key(request("b", 3), "two", None) != keys.next_key(request("a", 4), "two", None)


def test_a_cell_that_asks_in_a_loop_has_a_key_for_each_question() -> None:
    keys = CellKeys()
    first_run = [keys.next_key(request("a", 1), "same", None) for _ in range(3)]
    second_run = [keys.next_key(request("a", 2), "same", None) for _ in range(3)]

    assert len(set(first_run)) == 3
    assert first_run == second_run


def test_where_cells_have_no_ids_a_cell_is_its_text() -> None:
    keys = CellKeys()

    one = keys.next_key(request(None, 1), "one", None)
    assert one == keys.next_key(request(None, 2), "one", None)
    assert one != keys.next_key(request(None, 3), "two", None)
    assert keys.next_key({}, "one", None) == keys.next_key({}, "one", None)  # outside of a kernel


def test_in_a_terminal_each_input_is_a_cell() -> None:
    keys = CellKeys()

    assert keys.next_key({}, "yes", 1) != keys.next_key({}, "yes", 2)


def test_a_cell_without_an_id_that_asks_several_times_has_a_key_for_each() -> None:
    keys = CellKeys()
    first = [keys.next_key(request(None, 1), "same", None) for _ in range(3)]
    assert len({*first}) == 3
    assert [keys.next_key(request(None, 2), "same", None) for _ in range(3)] == first
