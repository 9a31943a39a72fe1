import itertools
import json
from typing import Any

from jupyter_mlx_gpt_oss.magics.segments import (
    ReasoningSegment,
    TextSegment,
    ToolCallSegment,
    ToolResult,
    Usage,
)
from jupyter_mlx_gpt_oss.magics.transcript import Transcript
from tests.support.canned_server import delta, ending, tool_delta


def chunks(*frames: str) -> list[dict[str, Any]]:
    lines = "".join(frames).splitlines()
    return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: {")]


def fold(*frames: str, onto: Transcript | None = None) -> Transcript:
    """Fold the chunks, one a second from second 1 on."""
    transcript = onto or Transcript(started_seconds=0.0)
    seconds = itertools.count(1)
    for chunk in chunks(*frames):
        transcript = transcript.add_chunk(chunk, float(next(seconds)))
    return transcript


def test_reasoning_and_text_are_segments_in_order() -> None:
    transcript = fold(
        delta(reasoning="Let "), delta(reasoning="me."), delta(content="A"), delta(content="da")
    )

    assert transcript.segments == (ReasoningSegment(0, "Let me.", 1.0, 3.0), TextSegment(0, "Ada"))
    assert transcript.reasoning == "Let me."
    assert transcript.text == "Ada"


def test_reasoning_that_comes_under_both_names_is_taken_once() -> None:
    assert fold(delta(reasoning="a", reasoning_content="a")).reasoning == "a"
    assert fold(delta(reasoning_content="a")).reasoning == "a"


def test_tool_calls_that_stream_side_by_side_stay_apart() -> None:
    first = chunks(tool_delta("f", '{"x"', ": 1}", index=0, call_id="a"))
    second = chunks(tool_delta("g", "{}", index=1, call_id="b"))
    transcript = Transcript(0.0)
    for chunk in [*first[:2], *second, *first[2:]]:
        transcript = transcript.add_chunk(chunk, 1.0)

    assert transcript.pending_calls == (
        ToolCallSegment(0, 0, "a", "f", '{"x": 1}'),
        ToolCallSegment(0, 1, "b", "g", "{}"),
    )


def test_calls_without_an_index_of_their_own_stay_apart() -> None:
    transcript = Transcript(0.0)
    for call_id in ("a", "b"):
        for chunk in chunks(tool_delta("f", '{"x"', ": 1}", index=0, call_id=call_id)):
            transcript = transcript.add_chunk(chunk, 1.0)

    assert transcript.pending_calls == (
        ToolCallSegment(0, 0, "a", "f", '{"x": 1}'),
        ToolCallSegment(0, 0, "b", "f", '{"x": 1}'),
    )


def test_usage_and_finish_reason() -> None:
    transcript = fold(delta(content="Hi"), ending("length"))

    assert transcript.finish_reason == "length"
    assert transcript.usage == Usage(20, 8, 12, 5)


def test_usage_without_details_counts_none() -> None:
    transcript = Transcript(0.0).add_chunk({"choices": [], "usage": {"prompt_tokens": 3}}, 1.0)

    assert transcript.usage == Usage(prompt_tokens=3)


def test_usage_that_grows_with_every_chunk_is_counted_once_a_round() -> None:
    transcript = Transcript(0.0)
    for number in (1, 2, 3):
        transcript = transcript.add_chunk({"choices": [], "usage": {"completion_tokens": number}}, 1.0)
    transcript = transcript.begin_round()
    for number in (1, 2):
        transcript = transcript.add_chunk({"choices": [], "usage": {"completion_tokens": number}}, 1.0)

    assert transcript.usage == Usage(completion_tokens=5)


def test_seconds_of_generating_run_from_first_token_to_finish() -> None:
    transcript = fold(delta(role="assistant"), delta(content="Hi"), delta(content="!"), ending())

    assert transcript.first_token_seconds == 2.0
    assert transcript.generating_seconds == 2.0


def test_rounds_become_messages_with_their_results() -> None:
    transcript = fold(delta(reasoning="Look."), tool_delta("f", "{}"), ending("tool_calls"))
    (call,) = transcript.pending_calls
    transcript = transcript.add_result(call, ToolResult("42")).begin_round()
    transcript = fold(delta(content="It is 42."), ending(), onto=transcript)

    assert transcript.pending_calls == ()
    assert transcript.usage == Usage(40, 16, 24, 10)
    assert transcript.text == "It is 42."
    assert transcript.messages == [
        {
            "role": "assistant",
            "content": None,
            "reasoning": "Look.",
            "tool_calls": [
                {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
            ],
        },
        {"role": "tool", "tool_call_id": "call_1", "name": "f", "content": "42"},
        {"role": "assistant", "content": "It is 42."},
    ]


def test_an_answer_without_words_is_a_message_all_the_same() -> None:
    assert fold(delta(reasoning="Hm."), ending()).messages == [
        {"role": "assistant", "content": "", "reasoning": "Hm."}
    ]


def test_ending_closes_a_reasoning_that_still_streams() -> None:
    transcript = fold(delta(reasoning="Let me")).end(5.0, "interrupted")

    assert transcript.segments == (ReasoningSegment(0, "Let me", 1.0, 5.0),)
    assert (transcript.interruption, transcript.ended_seconds) == ("interrupted", 5.0)


def test_a_server_that_gives_no_ids_gets_some() -> None:
    call = {"function": {"name": "f", "arguments": "{}"}}

    assert fold(delta(tool_calls=[call])).pending_calls[0].call_id == "call_0_0"
