from typing import Any

import pytest

from jupyter_mlx_gpt_oss.errors import InvalidRequestError
from jupyter_mlx_gpt_oss.harmony.messages import (
    AssistantMessage,
    ToolCall,
    ToolResult,
    UserMessage,
    read_messages,
)

_CALL = {"id": "call_1", "type": "function", "function": {"name": "get_time", "arguments": '{"a": 1}'}}


def user(text: Any = "Hi") -> dict[str, Any]:
    return {"role": "user", "content": text}


def assistant(content: Any = None, **fields: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content} | fields


def result(text: Any = "noon", call_id: str = "call_1") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call_id, "content": text}


def test_text_parts_are_joined() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "input_text", "text": "b"}]
    assert read_messages([user(parts)]) == [UserMessage("ab")]


def test_a_refusal_is_what_the_assistant_said() -> None:
    refusal = assistant([{"type": "refusal", "refusal": "No."}])
    assert read_messages([refusal]) == [AssistantMessage("", "No.", ())]


def test_a_result_has_the_name_of_the_call_it_answers() -> None:
    other = {"id": "call_2", "function": {"name": "other", "arguments": ""}}
    turn = [assistant(tool_calls=[_CALL, other]), result("b", "call_2"), result("a")]
    calls = (ToolCall("get_time", '{"a": 1}'), ToolCall("other", ""))
    assert read_messages(turn) == [
        AssistantMessage("", "", calls),
        ToolResult("other", "b"),
        ToolResult("get_time", "a"),
    ]


def test_the_first_reasoning_that_is_not_empty_counts() -> None:
    message = assistant("a", reasoning=None, reasoning_content="", thinking="Hm.")
    assert read_messages([message]) == [AssistantMessage("Hm.", "a", ())]


@pytest.mark.parametrize(
    ("messages", "param"),
    [
        ([], "messages"),
        ("Hi", "messages"),
        ({"role": "user"}, "messages"),
        (["Hi"], "messages[0]"),
        ([{}], "messages[0].role"),
        ([{"role": "robot", "content": "x"}], "messages[0].role"),
        ([{"role": ["user"], "content": "x"}], "messages[0].role"),
        ([user(), user(None)], "messages[1].content"),
        ([user(1)], "messages[0].content"),
        ([user(["Hi"])], "messages[0].content[0]"),
        ([user([{"text": "Hi"}])], "messages[0].content[0].type"),
        ([user([{"type": "text"}])], "messages[0].content[0].text"),
        ([user([{"type": "text", "text": "a"}, {"type": "image_url"}])], "messages[0].content[1]"),
        ([user([{"type": "input_audio"}])], "messages[0].content[0]"),
        ([user([{"type": "file"}])], "messages[0].content[0]"),
        ([assistant(1)], "messages[0].content"),
        ([assistant("a", reasoning=1)], "messages[0].reasoning"),
        ([assistant(tool_calls=1)], "messages[0].tool_calls"),
        ([assistant(tool_calls=[1])], "messages[0].tool_calls[0]"),
        ([assistant(tool_calls=[{"id": "1"}])], "messages[0].tool_calls[0].function"),
        ([assistant(tool_calls=[_CALL | {"id": None}])], "messages[0].tool_calls[0].id"),
        ([assistant(function_call={"name": "a b", "arguments": ""})], "messages[0].function_call.name"),
        ([assistant(function_call={"name": "a", "arguments": {}})], "messages[0].function_call.arguments"),
        ([user(), result()], "messages[1].tool_call_id"),
        ([result(), assistant(tool_calls=[_CALL])], "messages[0].tool_call_id"),
        ([{"role": "tool", "content": "x"}], "messages[0].tool_call_id"),
        ([assistant(tool_calls=[_CALL]), result(None)], "messages[1].content"),
        ([{"role": "function", "name": "", "content": "x"}], "messages[0].name"),
    ],
)
def test_a_bad_message_names_the_field(messages: Any, param: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        read_messages(messages)
    assert caught.value.param == param


def test_an_error_never_quotes_the_conversation() -> None:
    with pytest.raises(InvalidRequestError) as caught:
        read_messages([user("a secret"), user([{"type": "image_url", "image_url": "a secret"}])])
    assert "secret" not in caught.value.message
    assert "not supported" in caught.value.message
