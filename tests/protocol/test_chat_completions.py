"""Every field of a chat completion: served, accepted, or refused by its name."""

import inspect
import json
from typing import Any

import pytest
from openai.types.chat import completion_create_params

from jupyter_mlx_gpt_oss.errors import InvalidRequestError, RequestError, UnsupportedFeatureError
from jupyter_mlx_gpt_oss.protocol.chat_completions import ChatCompletionRequest
from jupyter_mlx_gpt_oss.protocol.field_rules import ACCEPTED_FIELDS

MESSAGES = [{"role": "user", "content": "Hi"}]


def request_of(**fields: Any) -> ChatCompletionRequest:
    return ChatCompletionRequest.from_json(json.dumps({"messages": MESSAGES, **fields}).encode())


def test_a_request_that_says_little_has_defaults() -> None:
    request = request_of()
    assert request.effort == "medium"
    assert request.token_limit is None
    assert request.offered_tools == []
    assert request.choice == "auto"
    assert request.token_biases == {}
    assert not request.is_reasoning_hidden
    assert not request.is_usage_streamed


@pytest.mark.parametrize(
    ("fields", "effort"),
    [
        ({"reasoning_effort": "minimal"}, "minimal"),
        ({"reasoning": {"effort": "high"}}, "high"),
        ({"reasoning": {"enabled": False}}, "none"),
        ({"chat_template_kwargs": {"reasoning_effort": "low", "enable_thinking": True}}, "low"),
        ({"reasoning_effort": "high", "reasoning": {"effort": "low"}}, "high"),
        ({"reasoning_effort": None, "reasoning": {"effort": None}}, "medium"),
    ],
)
def test_the_effort_has_three_names(fields: dict[str, Any], effort: str) -> None:
    assert request_of(**fields).effort == effort


def test_max_completion_tokens_comes_before_max_tokens() -> None:
    assert request_of(max_tokens=5).token_limit == 5
    assert request_of(max_tokens=5, max_completion_tokens=7).token_limit == 7


def test_one_stop_string_is_a_list_of_one() -> None:
    assert request_of(stop="END").stop == ["END"]
    assert request_of(stop=["a", "b"]).stop == ["a", "b"]


def test_legacy_functions_are_tools() -> None:
    request = request_of(functions=[{"name": "look"}], function_call="none")
    assert request.offered_tools == [{"type": "function", "function": {"name": "look"}}]
    assert request.choice == "none"
    named = request_of(functions=[{"name": "look"}], function_call={"name": "look"})
    assert named.choice == {"type": "function", "function": {"name": "look"}}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": "Hi"}, "messages"),
        ({"messages": ["Hi"]}, "messages[0]"),
        ({"temperature": 2.5}, "temperature"),
        ({"temperature": "1"}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"top_p": -0.1}, "top_p"),
        ({"min_p": -0.1}, "min_p"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_completion_tokens": 1.5}, "max_completion_tokens"),
        ({"seed": 2**63}, "seed"),
        ({"presence_penalty": 3}, "presence_penalty"),
        ({"repetition_penalty": 0}, "repetition_penalty"),
        ({"logit_bias": {"cat": 1}}, "logit_bias"),
        ({"logit_bias": {"201088": 1}}, "logit_bias"),
        ({"logit_bias": {"5": 101}}, "logit_bias.5"),
        ({"stop": ["x"] * 17}, "stop"),
        ({"stop": [1]}, "stop[0]"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": {"include_usage": 1}}, "stream_options.include_usage"),
        ({"stream_options": {"usage": True}}, "stream_options.usage"),
        ({"reasoning_effort": "huge"}, "reasoning_effort"),
        ({"tool_choice": 1}, "tool_choice"),
        ({"tools": {"type": "function"}}, "tools"),
        ({"temprature": 1}, "temprature"),
        ({"n": 0}, "n"),
        ({"n": 9}, "n"),
        ({"logprobs": 1}, "logprobs"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
        ({"top_logprobs": 3}, "top_logprobs"),
    ],
)
def test_a_bad_field_is_named(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        request_of(**fields)
    assert caught.value.param == param
    assert caught.value.code == "invalid_request_error"


@pytest.mark.parametrize(
    ("fields", "num_logprobs"),
    [({}, None), ({"logprobs": True}, 0), ({"logprobs": True, "top_logprobs": 20}, 20)],
)
def test_log_probabilities_are_given_to_those_who_ask(
    fields: dict[str, Any], num_logprobs: int | None
) -> None:
    assert request_of(**fields).num_logprobs == num_logprobs


def test_missing_messages_are_named() -> None:
    with pytest.raises(InvalidRequestError) as caught:
        ChatCompletionRequest.from_json(b"{}")
    assert caught.value.param == "messages"


def test_a_bad_value_is_shown_only_if_it_is_a_number() -> None:
    with pytest.raises(InvalidRequestError, match=r"not 2\.5"):
        request_of(temperature=2.5)
    with pytest.raises(InvalidRequestError) as caught:
        request_of(messages="my secret")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"audio": {"voice": "alloy"}}, "audio"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"web_search_options": {}}, "web_search_options"),
        ({"moderation": {"model": "x"}}, "moderation"),
    ],
)
def test_what_is_not_served_is_refused_by_name(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(UnsupportedFeatureError) as caught:
        request_of(**fields)
    assert caught.value.param == param


@pytest.mark.parametrize(
    "fields",
    [
        {"n": 1, "logprobs": False, "top_logprobs": 0, "audio": None, "modalities": ["text"]},
        {"user": "ann", "metadata": {"a": "b"}, "store": True, "service_tier": "auto", "prediction": {}},
        {"safety_identifier": "x", "prompt_cache_key": "y", "verbosity": "low", "parallel_tool_calls": False},
        {"top_k": 40, "skip_special_tokens": True, "cache_prompt": True},
        {"tool_choice": None, "tools": None, "stop": None, "response_format": None, "logit_bias": None},
    ],
)
def test_what_cannot_matter_is_accepted(fields: dict[str, Any]) -> None:
    assert request_of(**fields).messages == MESSAGES


def test_every_field_of_the_openai_client_is_known() -> None:
    fields = {
        *inspect.get_annotations(completion_create_params.CompletionCreateParamsBase),
        *inspect.get_annotations(completion_create_params.CompletionCreateParamsNonStreaming),
    }
    unknown = []
    for name in sorted(fields):
        try:
            request_of(**{name: "?"} if name != "messages" else {})
        except RequestError as error:
            unknown += [name] if "Unknown field" in error.message else []
    assert unknown == []


def test_no_field_is_both_read_and_accepted_without_effect() -> None:
    assert not ACCEPTED_FIELDS & set(ChatCompletionRequest.model_fields)


@pytest.mark.parametrize("fields", [{"\ud800": 1}, {"stream_options": {"\udfff": 1}}])
def test_a_key_that_no_text_can_hold_is_unknown_by_name(fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequestError, match="Unknown field") as error:
        request_of(**fields)
    assert str(error.value.param).endswith("\ufffd")


@pytest.mark.parametrize("choice", ["", {}])
def test_a_choice_that_says_nothing_is_not_taken_for_auto(choice: Any) -> None:
    assert request_of(tool_choice=choice, function_call="none").choice == choice
    assert request_of(function_call="none").choice == "none"


@pytest.mark.parametrize(("stop", "stops"), [("", []), (["", "x"], ["x"]), ("x", ["x"])])
def test_an_empty_stop_string_stops_nothing(stop: Any, stops: list[str]) -> None:
    body = json.dumps({"messages": MESSAGES, "stop": stop}).encode()
    assert ChatCompletionRequest.from_json(body).stop == stops
