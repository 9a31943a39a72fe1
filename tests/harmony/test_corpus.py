"""Every case of the corpus, fed in every way."""

from ast import literal_eval
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from jupyter_mlx_gpt_oss.harmony import Event, HarmonyParser, TurnEnded, parse_completion
from jupyter_mlx_gpt_oss.harmony.completion import fold_events
from jupyter_mlx_gpt_oss.harmony.encoding import END, STOP_TOKEN_IDS

_TRAILING = [200006, 1428, 200008, 12194, 200007, 13225]


def stream(case: dict[str, Any], token_ids: Iterable[int], *, truncated: bool) -> list[Event]:
    parser = HarmonyParser(case["tools"])
    events: list[Event] = []
    for token_id in token_ids:
        events += parser.feed(token_id)
    return events + parser.close(truncated=truncated)


def test_a_case_gives_the_expected_answer(case: dict[str, Any]) -> None:
    answer = parse_completion(case["completion_tokens"], case["tools"], case["truncated"])
    assert case["expected"] == answer, case["name"]


def test_the_stream_adds_up_to_the_expected_answer(case: dict[str, Any]) -> None:
    events = stream(case, case["completion_tokens"], truncated=case["truncated"])
    assert case["expected"] == fold_events(events, truncated=case["truncated"]), case["name"]


def test_every_delta_has_text(case: dict[str, Any]) -> None:
    for event in stream(case, case["completion_tokens"], truncated=case["truncated"]):
        texts = [getattr(event, name) for name in ("text", "arguments", "name") if hasattr(event, name)]
        assert all(texts), event


def test_a_stop_token_ends_the_turn_with_one_last_event(case: dict[str, Any]) -> None:
    parser = HarmonyParser(case["tools"])
    events = [event for token_id in case["completion_tokens"] for event in parser.feed(token_id)]
    if set(case["completion_tokens"]) & set(STOP_TOKEN_IDS):
        assert parser.is_finished
    assert events.count(TurnEnded()) == parser.is_finished
    assert not parser.is_finished or events[-1] == TurnEnded()


def test_what_follows_the_end_of_the_turn_does_not_count(case: dict[str, Any]) -> None:
    parser = HarmonyParser(case["tools"])
    for token_id in case["completion_tokens"]:
        parser.feed(token_id)
    if parser.is_finished:
        assert [parser.feed(token_id) for token_id in _TRAILING] == [[]] * len(_TRAILING)
        longer = [*case["completion_tokens"], *_TRAILING]
        assert case["expected"] == parse_completion(longer, case["tools"], case["truncated"])


def test_a_cut_at_any_position_keeps_what_came_before_it(case: dict[str, Any]) -> None:
    whole = case["expected"]
    texts = "\0".join([whole["reasoning"] or "", whole["content"] or ""])
    arguments = [call["arguments"] for call in whole["tool_calls"]] or [""]
    for cut in range(len(case["completion_tokens"])):
        answer = parse_completion(case["completion_tokens"][:cut], case["tools"], truncated=True)
        assert answer["finish_reason"] == "length"
        for key in ("reasoning", "content"):
            # Text without a header is content until a proper message follows it.
            begun = (answer[key] or "").rstrip("\N{REPLACEMENT CHARACTER}")
            assert (whole[key] or "").startswith(begun) or texts.startswith(begun), (cut, key)
        for call in answer["tool_calls"]:
            assert call["name"] == whole["tool_calls"][0]["name"]
            assert arguments[0].startswith(call["arguments"].strip()) or arguments[0] in call["arguments"], (
                cut
            )


def test_a_cut_never_takes_back_what_was_streamed(case: dict[str, Any]) -> None:
    token_ids = case["completion_tokens"]
    for truncated in (True, False):
        for cut in range(len(token_ids) + 1):
            parser = HarmonyParser(case["tools"])
            events = [event for token_id in token_ids[:cut] for event in parser.feed(token_id)]
            so_far = fold_events(events)
            answer = parse_completion(token_ids[:cut], case["tools"], truncated)
            for key in ("reasoning", "content"):
                assert (answer[key] or "").startswith(so_far[key] or "")


def test_the_end_token_alone_never_ends_analysis(case: dict[str, Any]) -> None:
    parser = HarmonyParser(case["tools"])
    for index, token_id in enumerate(case["completion_tokens"]):
        parser.feed(token_id)
        if token_id == END and parser.is_finished:
            answer = parse_completion(case["completion_tokens"][: index + 1], case["tools"])
            assert answer["content"] is not None or answer["tool_calls"]
            return


def test_the_page_on_harmony_names_every_case(corpus: dict[str, Any]) -> None:
    page = (Path(__file__).parents[2] / "docs" / "harmony.md").read_text(encoding="utf-8")
    assert [name for name in sorted(corpus) if f"`{name}`" not in page] == []


def test_the_example_of_the_page_on_harmony_is_true() -> None:
    page = (Path(__file__).parents[2] / "docs" / "harmony.md").read_text(encoding="utf-8")
    example = page.partition("```python\n")[2].partition("```")[0]
    call, expected = example.splitlines()[-2:]
    token_ids = literal_eval(call.removeprefix("parse_completion"))
    assert f"# {parse_completion(token_ids)}" == expected
