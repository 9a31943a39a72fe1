"""The grammar of a request to the one Lark text that another server takes. Knows no Harmony and no HTTP.

A `GenerationRequest.grammar` is several grammars that refer to each other; vLLM's `structured_outputs.grammar` is one.
Source: llguidance docs/syntax.md; vLLM vllm/v1/structured_output/backend_guidance.py.
"""

import json
import re
from typing import Any

from jupyter_mlx_gpt_oss.errors import InvalidRequestError, UnsupportedFeatureError
from jupyter_mlx_gpt_oss.vocabulary import SPECIAL_TOKENS

_START, _MESSAGE = SPECIAL_TOKENS["<|start|>"], SPECIAL_TOKENS["<|message|>"]
# Literals are kept as they are: in quotes a control token's name is text.
_PARTS = re.compile(r'("(?:\\.|[^"\\])*"|/(?:\\.|[^/\\\n])+/)|(<\|\w+\|>)|@(\w+)')
_START_RULE = re.compile(r"^start: .*$", re.MULTILINE)
_ANSWER = re.compile(r"^answer: .*?<\|message\|> (.*)$", re.MULTILINE)
_ANY_TEXT = "TEXT "


def lark_grammar(grammar: str) -> str:
    """Return a request's grammar as one Lark text, with schemas in it and control tokens by their ids.

    Raises:
        InvalidRequestError: there is nothing in it.
        UnsupportedFeatureError: a JSON answer has begun. Only the engine of this package can go on there.
    """
    parts: dict[str, Any] = json.loads(grammar)
    main, *bodies = parts["grammars"]
    if "lark_grammar" not in main:
        return f"start: {_inline(main)}"
    if not main["lark_grammar"].strip():
        raise InvalidRequestError("The grammar is empty. Send one with a rule `start`, or none.")
    lark = _after(main["lark_grammar"], parts.get("opened", []))
    rules = [f"{body['name']}: {_inline(body)}" for body in bodies]
    return "\n".join([_PARTS.sub(_part, lark), *rules])


def _inline(body: dict[str, Any]) -> str:
    return f"%json {json.dumps(body['json_schema'], ensure_ascii=False)}"


def _part(match: re.Match[str]) -> str:
    literal, name, reference = match.groups()
    if name is not None:
        return f"<[{SPECIAL_TOKENS[name]}]>" if name in SPECIAL_TOKENS else str(name)
    return str(literal if literal is not None else reference)


def _after(lark: str, opened: list[int]) -> str:
    """Return what a grammar leaves behind the tokens that are opened: whole messages, perhaps the answer's beginning."""
    last = max((place for place, token_id in enumerate(opened) if token_id == _START), default=0)
    if _MESSAGE not in opened[last:]:
        return lark  # another message may follow any number of them
    (rest,) = _ANSWER.findall(lark)
    if opened[-1] != _MESSAGE and not rest.startswith(_ANY_TEXT):
        raise UnsupportedFeatureError(
            "A remote engine cannot go on from a JSON answer that has begun. Leave out the last assistant message, or "
            "response_format.",
            param="messages",
        )
    return _START_RULE.sub(lambda _: f"start: {rest}", lark, count=1)
