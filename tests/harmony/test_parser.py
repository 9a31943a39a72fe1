"""The policy, rule by rule, where the corpus has no case."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from jupyter_mlx_gpt_oss.harmony import (
    HarmonyParser,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    ToolCallStarted,
    TurnEnded,
    parse_completion,
)
from jupyter_mlx_gpt_oss.harmony.parser import MAX_HEADER_TOKENS

Tokens = Callable[[str], list[int]]
_TOOLS = ("get_weather", "get", "web_search")
_FINAL = "<|start|>assistant<|channel|>final<|message|>hi<|return|>"


def call(name: str, arguments: str) -> dict[str, str]:
    return {"name": name, "arguments": arguments}


def answer(**fields: Any) -> dict[str, Any]:
    whole: dict[str, Any] = {"reasoning": None, "content": None, "tool_calls": [], "finish_reason": "stop"}
    return whole | ({"finish_reason": "tool_calls"} if "tool_calls" in fields else {}) | fields


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("<|channel|>commentary to=functions.get_weatherjson", "get_weather"),
        ("<|channel|>commentary to=functions.get_weather...", "get_weather"),
        ("<|channel|>commentaryto=functions.get_weather json", "get_weather"),
        ("<|channel|>commentary to= functions. get_weather", "get_weather"),
        ("<|channel|>commentary \u5929\u5929to=functions.get_weather\u5f69\u7968json", "get_weather"),
        ("<|channel|>to=get_weather", "get_weather"),
        ("<|channel|>commentary to=functions.get_weather_at json", "get_weather_at"),
        ("<|channel|>commentary to=functions.web-search json", "web-search"),
        ("<|channel|>commentary to=functions.lookup{", "lookup"),
        ("<|channel|>commentary to=functions.container.exec", "container.exec"),
        (" to=functions.lookup<|channel|>commentary to=functions.get json", "get"),
        (" to=functions.get<|channel|>commentary to=functions.lookup json", "get"),
        ("<|channel|>commentary <|constrain|>json to=functions.get", "get"),
    ],
)
def test_the_function_called_is_the_one_the_header_names(header: str, name: str, tokens: Tokens) -> None:
    text = f"{header}<|message|>{{}}<|call|>"
    assert parse_completion(tokens(text), _TOOLS) == answer(tool_calls=[call(name, "{}")])


@pytest.mark.parametrize(
    "name", ["python", "browser.search", "container.exec", "functions", "functions.", "assistant"]
)
def test_a_built_in_call_that_nobody_asked_for_is_reasoning(name: str, tokens: Tokens) -> None:
    text = f"<|channel|>commentary to={name}<|message|>x<|call|>"
    assert parse_completion(tokens(text), _TOOLS) == answer(reasoning="x")


@pytest.mark.parametrize(
    "header",
    [
        "<|channel|>analysis to=python code",
        "<|channel|>analysis to=python",
        "<|channel|>commentary to=python code",
        "<|channel|>analysis to=python <|constrain|>code",
        " to=python<|channel|>analysis code",
    ],
)
def test_code_for_the_python_tool_is_a_call_where_it_is_offered(header: str, tokens: Tokens) -> None:
    code = 'x = {"a": "\u00e9\\n"}\n\nprint(x)\n'
    expected = json.dumps({"code": code}, ensure_ascii=False)
    for tools in (["python"], ["get_weather", "python"]):
        parsed = parse_completion(tokens(f"{header}<|message|>{code}<|call|>"), tools)
        assert parsed == answer(tool_calls=[call("python", expected)])


def test_code_is_streamed_as_it_comes(tokens: Tokens) -> None:
    parser = HarmonyParser(["python"])
    streamed = [
        event.arguments
        for token_id in tokens("<|channel|>analysis to=python code<|message|>\n  a = 1\nb = 2<|call|>")
        for event in parser.feed(token_id)
        if isinstance(event, ToolCallDelta)
    ]
    assert streamed[0].startswith('{"code": "\\n')
    assert len(streamed) > 4
    assert json.loads("".join(streamed)) == {"code": "\n  a = 1\nb = 2"}


def test_code_that_is_cut_off_stays_open(tokens: Tokens) -> None:
    header = "<|channel|>analysis to=python code<|message|>"
    cut = parse_completion(tokens(f"{header}print("), ["python"], truncated=True)
    assert cut["tool_calls"] == [call("python", '{"code": "print(')]
    empty = parse_completion(tokens(header), ["python"], truncated=True)
    assert empty["tool_calls"] == [call("python", "")]
    assert parse_completion(tokens(header + "\n<|call|>"), ["python"])["tool_calls"] == [
        call("python", '{"code": "\\n"}')
    ]


@pytest.mark.parametrize(
    "header",
    [
        "<|channel|>commentary to=functions.python <|constrain|>json",
        "<|channel|>commentary to=python <|constrain|>json",
        "<|channel|>analysis to=python json",
        "<|channel|>commentary to=functions.python",
    ],
)
def test_json_for_a_function_of_the_name_python_stays_json(header: str, tokens: Tokens) -> None:
    text = f'{header}<|message|>{{"x": 1}}<|call|>'
    assert parse_completion(tokens(text), ["python"]) == answer(tool_calls=[call("python", '{"x": 1}')])


@pytest.mark.parametrize("word", ["json", "code", "user", "all", "final"])
def test_a_word_that_is_no_recipient_leaves_the_channel_to_decide(word: str, tokens: Tokens) -> None:
    text = f"<|channel|>commentary to={word}<|message|>Hi<|end|>"
    assert parse_completion(tokens(text), _TOOLS) == answer(content="Hi")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<|message|>Hi<|return|>", answer(content="Hi")),
        ("<|channel|><|message|>Hi<|return|>", answer(content="Hi")),
        ("<|message|>Hm<|end|>" + _FINAL, answer(reasoning="Hm", content="hi")),
        ("Hm.<|channel|>final<|message|>hi<|return|>", answer(reasoning="Hm.", content="hi")),
        ("Hm.<|message|>Hi<|return|>", answer(content="Hm.\nHi")),
        ("Hm.<|end|>\n<|start|>assistant Hi<|return|>", answer(content="Hm.\n Hi")),
        ("Hm.<|end|><|start|>user<|message|>Hi", answer(content="Hm.")),
        ("Hm.<|start|><|start|>assistant<|channel|>final<|message|><|end|>", answer(reasoning="Hm.")),
        ("<|channel|>thinking<|message|>Hm<|end|>" + _FINAL, answer(reasoning="Hm", content="hi")),
        ("commentary<|message|>Hm<|end|>Final answer: 4", answer(content="Hm\nFinal answer: 4")),
    ],
)
def test_text_without_a_channel_is_reasoning_only_before_a_proper_message(
    text: str, expected: dict[str, Any], tokens: Tokens
) -> None:
    assert parse_completion(tokens(text), _TOOLS) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<|channel|>finalThe answer.<|end|>x", answer(content="The answer.")),
        ("<|channel|>final?? Yes<|return|>", answer(content="Yes")),
        ("<|start|>assistantfinal Yes<|return|>", answer(content="Yes")),
        ("finally, the cat sat<|return|>", answer(content="finally, the cat sat")),
        ("final answers are hard<|return|>", answer(content="final answers are hard")),
        ("analysis shows that<|return|>", answer(content="analysis shows that")),
        ("finalThe cat sat<|return|>", answer(content="The cat sat")),
        ('final json {"a":1}<|return|>', answer(content='{"a":1}')),
        ("<|start|>assistantfinal yes<|return|>", answer(content="yes")),
        ("assistantfinalyes, it is<|return|>", answer(content="yes, it is")),
        ('<|channel|>final <|constrain|>json {"a":1}<|return|>', answer(content='{"a":1}')),
        ('<|channel|>final json {"a":1}<|return|>', answer(content='{"a":1}')),
        ("<|channel|>final <|constrain|>json Yes<|return|>", answer(content="Yes")),
        (
            "<|channel|>analysis We think.<|channel|>final<|message|>hi",
            answer(reasoning="We think.", content="hi"),
        ),
        ("<|channel|>analysis set to=functions.get x<|end|>", answer(reasoning="set to=functions.get x")),
        ("<|channel|>final<|end|>x", answer()),
        ("<|channel|>commentary to=get <|constrain|>json{}<|call|>", answer(tool_calls=[call("get", "{}")])),
        ("<|channel|>commentary to=get json<|call|>", answer(tool_calls=[call("get", "{}")])),
        ("to=functions.get {}<|call|>", answer(tool_calls=[call("get", "{}")])),
        ("<|channel|>commentary to=get<|start|>assistant" + _FINAL, answer(content="hi")),
    ],
)
def test_a_header_without_its_end_is_read_for_what_it_says(
    text: str, expected: dict[str, Any], tokens: Tokens
) -> None:
    assert parse_completion(tokens(text), _TOOLS) == expected


@pytest.mark.parametrize("opening", ["<|channel|>final ", "<|channel|>commentary ", ""])
def test_a_header_that_is_too_long_is_a_message(opening: str, tokens: Tokens) -> None:
    words = "word " * 3 * MAX_HEADER_TOKENS
    parsed = parse_completion(tokens(f"{opening}{words}<|message|>more<|return|>"), _TOOLS)
    assert parsed == answer(content=f"{words}more")


def test_a_tool_with_a_long_name_of_many_tokens_is_called(tokens: Tokens) -> None:
    name = "mcp__7f3a9c1e-42b8-4d6f-9e0a-b1c2d3e4f5a6__kQ7xZ2pW9vB4nT8"
    header = tokens(f"<|channel|>commentary to=functions.{name} <|constrain|>json<|message|>")
    assert len(header) > MAX_HEADER_TOKENS
    parsed = parse_completion([*header, *tokens('{"a":1}<|call|>')], [name])
    assert parsed == answer(tool_calls=[call(name, '{"a":1}')])


def test_a_header_that_is_too_long_streams_at_once(tokens: Tokens) -> None:
    parser = HarmonyParser()
    events = [
        parser.feed(token_id) for token_id in tokens("<|channel|>analysis" + " word" * MAX_HEADER_TOKENS)
    ]
    assert not any(events[:MAX_HEADER_TOKENS])
    assert events[MAX_HEADER_TOKENS] == [ReasoningDelta("word" + " word" * (MAX_HEADER_TOKENS - 2))]
    assert events[MAX_HEADER_TOKENS + 1] == [ReasoningDelta(" word")]
    assert parser.num_reasoning_tokens == MAX_HEADER_TOKENS + 1


def test_an_invented_turn_that_is_all_header_ends_the_turn(tokens: Tokens) -> None:
    invented = tokens("<|channel|>commentary<|message|>Hi<|start|>user" + " word" * MAX_HEADER_TOKENS)
    parser = HarmonyParser()
    for token_id in invented:
        parser.feed(token_id)
    assert parser.is_finished


@pytest.mark.parametrize(
    "role",
    [
        "user",
        "system",
        "developer",
        "tool",
        "functions.get to=assistant",
        "get",
        "lookup to=assistant",
        "python",
    ],
)
def test_a_turn_of_another_ends_the_turn(role: str, tokens: Tokens) -> None:
    text = f"<|channel|>commentary<|message|>a<|end|><|start|>{role}<|channel|>commentary<|message|>b<|end|>{_FINAL}"
    assert parse_completion(tokens(text), _TOOLS) == answer(content="a")


def test_an_invented_user_turn_without_its_start_ends_the_turn(tokens: Tokens) -> None:
    text = f"<|channel|>analysis<|message|>a<|end|>user<|message|>b<|end|>{_FINAL}"
    assert parse_completion(tokens(text)) == answer(reasoning="a")


@pytest.mark.parametrize("between", ["<|start|>", "<|channel|>commentary"])
def test_a_call_without_any_text_before_the_next_header_is_that_header_doubled(
    between: str, tokens: Tokens
) -> None:
    text = f"<|channel|>commentary to=get<|message|>{between} to=get<|message|>{{}}<|call|>"
    text = text.replace("<|start|> to", "<|start|>assistant to")
    assert parse_completion(tokens(text), _TOOLS) == answer(tool_calls=[call("get", "{}")])


def test_a_call_whose_stop_token_the_engine_kept_is_whole(tokens: Tokens) -> None:
    assert parse_completion(tokens("<|channel|>commentary to=get<|message|>"), _TOOLS) == answer(
        tool_calls=[call("get", "{}")]
    )


@pytest.mark.parametrize("arguments", ["", '{"a": "b', '[{"a": "b'])
def test_a_truncated_call_keeps_its_arguments_so_far(arguments: str, tokens: Tokens) -> None:
    text = f"<|channel|>commentary to=get<|message|>{arguments}"
    expected = answer(tool_calls=[call("get", arguments)], finish_reason="length")
    assert parse_completion(tokens(text), _TOOLS, truncated=True) == expected


@pytest.mark.parametrize(
    "text",
    [
        "<|start|>",
        "<|start|>assis",
        "<|channel|>",
        "<|channel|>final",
        "<|channel|>commentary to=functions.ge",
        " to=",
    ],
)
def test_a_truncated_header_says_nothing(text: str, tokens: Tokens) -> None:
    assert parse_completion(tokens(text), _TOOLS, truncated=True) == answer(finish_reason="length")


@pytest.mark.parametrize("text", ["I cannot help", "Hm.<|channel|>fin", "<|start|>assistant I cannot"])
def test_truncated_text_without_a_header_is_content(text: str, tokens: Tokens) -> None:
    assert parse_completion(tokens(text), _TOOLS, truncated=True)["content"]


def test_everything_is_streamed_as_it_comes(tokens: Tokens) -> None:
    parser = HarmonyParser(_TOOLS)
    completion = (
        "<|channel|>analysis<|message|>a b<|end|><|start|>assistant<|channel|>commentary<|message|>c<|end|>"
        "<|start|>assistant<|channel|>analysis<|message|>d<|end|><|start|>assistant<|channel|>commentary to=get "
        '<|constrain|>json<|message|>{"e": 1}<|call|>'
    )
    events = [event for token_id in tokens(completion) for event in parser.feed(token_id)]
    assert events == [
        ReasoningDelta("a"),
        ReasoningDelta(" b"),
        TextDelta("c"),
        ReasoningDelta("\nd"),
        ToolCallStarted("get"),
        ToolCallDelta('{"'),
        ToolCallDelta("e"),
        ToolCallDelta('":'),
        ToolCallDelta(" 1"),
        ToolCallDelta("}"),
        TurnEnded(),
    ]
    assert parser.close() == []
    assert parser.num_reasoning_tokens == 3


def test_text_without_a_header_counts_as_reasoning_once_it_is(tokens: Tokens) -> None:
    parser = HarmonyParser()
    for token_id in tokens("one two three<|end|>"):
        parser.feed(token_id)
    assert parser.num_reasoning_tokens == 0
    for token_id in tokens(_FINAL):
        parser.feed(token_id)
    assert parser.num_reasoning_tokens == 3


def test_a_character_cut_by_a_dropped_token_stays_whole(tokens: Tokens) -> None:
    first, *rest = tokens("\N{CUNEIFORM SIGN A}")
    completion = [*tokens("<|channel|>final<|message|>"), first, 201_087, *rest, *tokens("<|return|>")]
    assert parse_completion(completion)["content"] == "\N{CUNEIFORM SIGN A}"
