"""What is fuzzed: for each reader of foreign text, what it is fed and what must hold, whatever it is fed."""

import json
import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from typing_extensions import override

from jupyter_mlx_gpt_oss.client.sse import SseDecoder
from jupyter_mlx_gpt_oss.engine.config import EngineConfig
from jupyter_mlx_gpt_oss.engine.frames import (
    Abort,
    FrameError,
    LoadFailed,
    RequestOutput,
    Start,
    StepDone,
    decode_command,
    decode_report,
    encode,
)
from jupyter_mlx_gpt_oss.engine.request import FinishReason
from jupyter_mlx_gpt_oss.errors import ModelLoadError, RequestError
from jupyter_mlx_gpt_oss.harmony import HarmonyParser, parse_completion, render_chat
from jupyter_mlx_gpt_oss.harmony.completion import fold_events
from jupyter_mlx_gpt_oss.harmony.encoding import encode as encode_text
from jupyter_mlx_gpt_oss.magics.markdown import markdown_to_html
from jupyter_mlx_gpt_oss.protocol.chat_completions import ChatCompletionRequest
from jupyter_mlx_gpt_oss.protocol.completions import CompletionRequest
from jupyter_mlx_gpt_oss.protocol.models import LoadRequest
from jupyter_mlx_gpt_oss.protocol.responses import ResponsesRequest
from jupyter_mlx_gpt_oss.protocol.tokenize import DetokenizeRequest, TokenizeRequest
from jupyter_mlx_gpt_oss.vocabulary import NUM_TOKENS, SPECIAL_TOKENS
from jupyter_mlx_gpt_oss.worker.checkpoint import read_checkpoint
from tests.support.fuzz_values import MESSAGES, TOOL, mutants

_TOOLS = ("get_weather", "python")


@dataclass(frozen=True, slots=True)
class Target:
    """One reader."""

    inputs: st.SearchStrategy[Any]
    check: Callable[[Any], None]
    """Raises if what must hold does not."""


# -- the parser and the renderer --------------------------------------------------------------------------------------

_markers = st.sampled_from([[token_id] for token_id in SPECIAL_TOKENS.values()])
_words = st.sampled_from([
    *("analysis", "commentary", "final", " to=functions.get_weather", " to=python", "assistant", " json", "{", '"}'),
    *("<|channel|>", "```", "\n\n", "\N{GRINNING FACE}", "\N{COMBINING ACUTE ACCENT}", "\0"),
])  # fmt: skip
_pieces = st.one_of(_markers, _words.map(encode_text), st.integers(-2, NUM_TOKENS + 2).map(lambda one: [one]))
_completions = st.lists(_pieces, max_size=40).map(lambda pieces: [one for piece in pieces for one in piece])


def _check_parser(case: tuple[list[int], bool]) -> None:
    token_ids, truncated = case
    parser = HarmonyParser(_TOOLS)
    events = [event for token_id in token_ids for event in parser.feed(token_id)]
    events += parser.close(truncated=truncated)
    answer = fold_events(events, truncated=truncated)
    assert answer == parse_completion(token_ids, _TOOLS, truncated)
    assert all(call["name"] for call in answer["tool_calls"])
    json.dumps(answer, ensure_ascii=False).encode()  # no half of a character


def _check_renderer(case: dict[str, Any]) -> None:
    try:
        token_ids = render_chat(case.get("messages"), case.get("tools"), reasoning_effort="low")  # type: ignore[arg-type]
    except RequestError:
        return
    assert all(0 <= token_id < NUM_TOKENS for token_id in token_ids)


# -- the wire ---------------------------------------------------------------------------------------------------------

_REQUESTS: dict[str, tuple[type[Any], dict[str, Any]]] = {
    "chat request": (
        ChatCompletionRequest,
        {
            "model": "m",
            "messages": MESSAGES,
            "tools": [TOOL],
            "tool_choice": "auto",
            "stop": ["x"],
            "logit_bias": {"5": 1.5},
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "n", "schema": {"type": "object"}},
            },
            "stream": True,
            "temperature": 0.5,
            "n": 2,
        },
    ),
    "responses request": (
        ResponsesRequest,
        {
            "input": [
                {"role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
                {"type": "reasoning"},
            ],
            "tools": [{"type": "function", "name": "f", "parameters": {}}],
            "text": {"format": {"type": "text"}},
            "reasoning": {"effort": "low"},
            "metadata": {"a": "b"},
        },
    ),
    "completion request": (
        CompletionRequest,
        {"prompt": ["Hi", "Ho"], "max_tokens": 5, "logprobs": 1, "echo": True},
    ),
    "load request": (LoadRequest, {"model": "demo"}),
    "tokenize request": (
        TokenizeRequest,
        {
            "messages": MESSAGES,
            "tools": [TOOL],
            "tool_choice": "none",
            "reasoning": {"effort": "low"},
            "chat_template_kwargs": {"reasoning_effort": "high"},
            "add_generation_prompt": False,
            "return_token_strs": True,
            "add_special_tokens": False,
        },
    ),
    "tokenize request of text": (TokenizeRequest, {"model": "m", "prompt": "Hi <|end|>"}),
    "detokenize request": (DetokenizeRequest, {"model": "m", "tokens": [1, 200_002, 5]}),
}


def _bodies(seed: dict[str, Any]) -> st.SearchStrategy[bytes]:
    whole = mutants(seed).map(lambda value: json.dumps(value).encode())
    broken = st.builds(
        lambda body, start, length, new: body[:start] + new + body[start + length :],
        whole,
        st.integers(0, 200),
        st.integers(0, 8),
        st.binary(max_size=6),
    )
    return whole | broken


def _request_check(model: type[Any]) -> Callable[[bytes], None]:
    def check(body: bytes) -> None:
        try:
            request = model.from_json(body)
            if isinstance(request, TokenizeRequest):
                assert (request.chat is None) == (request.prompt is not None)
        except RequestError as error:
            json.dumps(error.message)

    return check


def _check_frames(line: bytes) -> None:
    for decode in (decode_command, decode_report):
        try:
            frame: Any = decode(line)
        except FrameError:
            continue
        assert decode(encode(frame)) == frame


_FRAMES = [
    encode(Start(EngineConfig())),
    encode(Abort("r")),
    encode(LoadFailed("out_of_memory", "no")),
    encode(StepDone((RequestOutput("r", (1, 2), FinishReason.STOP),), 1, 0, 1, 0, 0.1)),
]
_frame_lines = st.binary(max_size=80) | st.builds(
    lambda line, start, length, new: line[:start] + new + line[start + length :],
    st.sampled_from(_FRAMES),
    st.integers(0, 150),
    st.integers(0, 8),
    st.binary(max_size=6) | st.sampled_from([b"null", b"[]", b"{}", b'"x"', b"-1", b"1e99"]),
)


def _check_sse(pieces: list[bytes]) -> None:
    whole = SseDecoder()
    split = SseDecoder()
    assert whole.feed(b"".join(pieces)) == [item for piece in pieces for item in split.feed(piece)]


_sse_pieces = st.lists(
    st.binary(max_size=5)
    | st.sampled_from(
        [b"data: ", b"data:", b"\r", b"\n", b"\r\n", b"\n\n", b": c", b"\xef\xbb\xbf", b"\xf0\x9f"]
    ),
    max_size=20,
)

# -- the page and the checkpoint --------------------------------------------------------------------------------------


class _Elements(HTMLParser):
    """Refuses every tag and attribute that could do something."""

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert re.fullmatch(
            r"a|blockquote|br|code|del|div|em|h[1-6r]|input|li|ol|p|pre|span|strong|t(able|body|d|h|head|r)|ul",
            tag,
        ), tag
        for name, value in attrs:
            assert re.fullmatch("checked|class|disabled|href|rel|start|style|target|type", name), name
            assert name != "href" or re.match(r"https?://|mailto:|#", value or ""), value
            assert name != "style" or "url(" not in (value or ""), value


_HTML = (
    "<script>",
    "<img src=x onerror=a>",
    "](javascript:a)",
    "](http://e/",
    '"',
    "'",
    "```",
    "$$",
    "\\[",
    "|---|",
    "<!--",
)
_markdown = st.lists(
    st.text(max_size=4) | st.sampled_from([*_HTML, "\n", "> ", "- ", "&#x6A;"]), max_size=20
).map("".join)


def _check_markdown(text: str) -> None:
    page = _Elements()
    page.feed(markdown_to_html(text))
    page.close()


_CONFIG: dict[str, Any] = {
    "model_type": "gpt_oss",
    "vocab_size": 8,
    "max_position_embeddings": 8,
    "quantization": {"bits": 4, "group_size": 32, "mode": "mxfp4", "model.norm": {"bits": 8}},
}
_HEADER: dict[str, Any] = {
    "__metadata__": {"format": "mlx"},
    "model.norm": {"dtype": "BF16", "shape": [2, 2], "data_offsets": [0, 8]},
}
_INDEX: dict[str, Any] = {"weight_map": {"model.norm": "model.safetensors"}}


def _check_checkpoint(case: tuple[Any, Any, Any, int]) -> None:
    config, header, index, num_bytes = case
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        (directory / "config.json").write_text(json.dumps(config))
        if index is not None:
            (directory / "model.safetensors.index.json").write_text(json.dumps(index))
        head = json.dumps(header).encode()
        file = len(head).to_bytes(8, "little") + head + bytes(num_bytes)
        (directory / "model.safetensors").write_bytes(file)
        try:
            checkpoint = read_checkpoint(directory)
        except ModelLoadError:
            return
    assert checkpoint.context_length > 0
    assert checkpoint.quantization is None or checkpoint.quantization


TARGETS: Mapping[str, Target] = {
    "parser": Target(st.tuples(_completions, st.booleans()), _check_parser),
    "renderer": Target(
        mutants({"messages": MESSAGES, "tools": [TOOL]}).filter(lambda case: isinstance(case, dict)),
        _check_renderer,
    ),
    "frames": Target(_frame_lines, _check_frames),
    "event stream": Target(_sse_pieces, _check_sse),
    **{name: Target(_bodies(seed), _request_check(model)) for name, (model, seed) in _REQUESTS.items()},
    "markdown": Target(_markdown, _check_markdown),
    "checkpoint": Target(
        st.tuples(mutants(_CONFIG), mutants(_HEADER), st.none() | mutants(_INDEX), st.integers(0, 20)),
        _check_checkpoint,
    ),
}
