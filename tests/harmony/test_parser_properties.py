"""What holds for any token sequence: totality, no lost and no doubled text, no invented call, constant cost."""

import sys
import tracemalloc
from collections.abc import Callable
from types import FrameType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_mlx_gpt_oss.harmony import HarmonyParser, parse_completion
from jupyter_mlx_gpt_oss.harmony.completion import fold_events
from jupyter_mlx_gpt_oss.harmony.encoding import CHANNEL, END, MESSAGE, START, STOP_TOKEN_IDS, encode
from jupyter_mlx_gpt_oss.vocabulary import SPECIAL_TOKENS, token_bytes

_TOOLS = ("get_weather", "web_search")
_CONTROL = sorted(SPECIAL_TOKENS.values())
_HEADER_TEXTS = (
    "assistant",
    "analysis",
    "commentary",
    "final",
    " to=functions.get_weather",
    " to=assistant",
    " to=python",
    "json",
    " code",
    "user",
    "functions.get_weather",
    "??",
    " ",
    "\n",
)
_HEADER_WORDS = [token_id for text in _HEADER_TEXTS for token_id in encode(text)]
_BODY_TEXTS = ('{"', '":', '"}', "{}", "[", "]", "```", "```json", " the", "\\", "\N{GRINNING FACE}", "I")
_BODY_WORDS = [token_id for text in _BODY_TEXTS for token_id in encode(text)]
_IMPOSSIBLE = [-1, -200008, 200000, 200019, 201087, 201088, 10**9]
# Tokens of whole words that no header has: Thai, Hangul and CJK letters.
_MARKERS = [
    token_id
    for token_id, piece in enumerate(token_bytes()[100_000:], 100_000)
    if len(piece) >= 6 and all(0x0E00 <= ord(char) <= 0xD7A3 for char in piece.decode("utf-8", "replace"))
][:400]

_token_ids = st.one_of(
    st.sampled_from(_CONTROL),
    st.sampled_from([START, CHANNEL, MESSAGE, END]),
    st.sampled_from(_HEADER_WORDS),
    st.sampled_from(_BODY_WORDS),
    st.sampled_from(_IMPOSSIBLE),
    st.integers(0, 201_087),
)
_headers = st.sampled_from([[CHANNEL, *encode(text), MESSAGE] for text in _HEADER_TEXTS[1:7]])
_sequences = st.lists(st.one_of(_token_ids.map(lambda token_id: [token_id]), _headers), max_size=60).map(
    lambda lists: [token_id for token_ids in lists for token_id in token_ids]
)
_many = settings(max_examples=200, deadline=None, derandomize=True)


@_many
@given(_sequences, st.booleans(), st.sampled_from([(), _TOOLS, (*_TOOLS, "python")]))
def test_any_tokens_give_events_that_add_up(
    token_ids: list[int], truncated: bool, tools: tuple[str, ...]
) -> None:
    parser = HarmonyParser(tools)
    events = [event for token_id in token_ids for event in parser.feed(token_id)]
    events += parser.close(truncated=truncated)
    answer = fold_events(events, truncated=truncated)
    assert answer == parse_completion(token_ids, tools, truncated)
    assert parser.close() == parser.feed(encode("late")[0]) == []
    assert 0 <= parser.num_reasoning_tokens <= len(token_ids)


@_many
@given(_sequences, st.booleans())
def test_no_control_token_shows_in_any_text(token_ids: list[int], truncated: bool) -> None:
    bars = [
        token_id
        for token_id in token_ids
        if not (0 <= token_id < 199_998 and b"|" in token_bytes()[token_id])
    ]
    answer = parse_completion(bars, _TOOLS, truncated)
    texts = [answer["reasoning"], answer["content"], *(call["arguments"] for call in answer["tool_calls"])]
    assert not any("|" in text for text in texts if text)


@_many
@given(_sequences, st.booleans())
def test_a_call_is_only_where_a_header_names_a_recipient(token_ids: list[int], truncated: bool) -> None:
    equals = encode(" to=functions")[1]
    without = [t for t in token_ids if t != equals and not (0 <= t < 199_998 and b"=" in token_bytes()[t])]
    assert parse_completion(without, _TOOLS, truncated)["tool_calls"] == []


@_many
@given(_sequences)
def test_no_call_without_tools(token_ids: list[int]) -> None:
    assert parse_completion(token_ids)["tool_calls"] == []


@_many
@given(
    st.lists(st.one_of(_token_ids.map(lambda token_id: [token_id]), _headers, st.none()), max_size=80),
    st.booleans(),
)
def test_every_word_of_a_message_comes_out_once(pieces: list[list[int] | None], truncated: bool) -> None:
    markers = iter(_MARKERS)
    parser = HarmonyParser(_TOOLS)
    events = []
    words = []
    in_message = False
    for piece in pieces:
        for token_id in piece if piece is not None else [next(markers)]:
            if 0 <= token_id < 199_998 and b"}" in token_bytes()[token_id]:
                continue  # after the arguments' last brace the rest is dropped, by policy
            events += parser.feed(token_id)
            if parser.is_finished:
                break
            if token_id == MESSAGE:
                in_message = True
            elif token_id in {START, CHANNEL, END, *STOP_TOKEN_IDS}:
                in_message = False
            elif piece is None and in_message:
                words.append(token_bytes()[token_id].decode())
    answer = fold_events([*events, *parser.close(truncated=truncated)])
    texts = [answer["reasoning"], answer["content"], *(call["arguments"] for call in answer["tool_calls"])]
    whole = "\0".join(text for text in texts if text)
    assert [word for word in words if whole.count(word) != 1] == []


_OPENINGS = {
    "reasoning": "<|channel|>analysis<|message|>",
    "content": "<|channel|>final<|message|>",
    "arguments": '<|channel|>commentary to=functions.get_weather json<|message|>{"a": "',
    "raw arguments": "<|channel|>commentary to=functions.get_weather code<|message|>echo",
    "held arguments": '<|channel|>commentary to=functions.get_weather json<|message|>[{"a": "',
    "finished arguments": "<|channel|>commentary to=functions.get_weather json<|message|>{}",
    "no header": "",
    "a header that never ends": "<|channel|>analysis",
}


@pytest.mark.parametrize("opening", _OPENINGS.values(), ids=_OPENINGS.keys())
@pytest.mark.parametrize("word", [" the", " ", "\n", "a"])
def test_the_cost_of_a_token_does_not_grow(
    opening: str, word: str, tokens: Callable[[str], list[int]]
) -> None:
    parser = HarmonyParser(_TOOLS)
    (token_id,) = encode(word)
    for opening_id in tokens(opening):
        parser.feed(opening_id)
    for _ in range(100):
        parser.feed(token_id)
    early = _calls_and_bytes(parser, token_id)
    for _ in range(10_000):
        parser.feed(token_id)
    late = _calls_and_bytes(parser, token_id)
    assert late[0] <= early[0] + 50
    assert late[1] <= early[1] + 20_000


def _calls_and_bytes(parser: HarmonyParser, token_id: int) -> tuple[int, int]:
    """Return the function calls made, and the most memory taken, while 50 tokens are fed."""
    num_calls = 0

    def count(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal num_calls
        num_calls += event in {"call", "c_call"}

    sys.setprofile(count)
    for _ in range(50):
        parser.feed(token_id)
    sys.setprofile(None)
    tracemalloc.start()
    for _ in range(50):
        parser.feed(token_id)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return num_calls, peak
