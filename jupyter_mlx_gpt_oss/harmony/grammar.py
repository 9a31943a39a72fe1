"""Tools, tool choice and response format to one grammar of the whole assistant turn, from its first header on.

Text alone: it is compiled and obeyed in `worker/constraint.py`. Reasoning stays free; headers, calls and a JSON answer
do not. Control tokens stand only where the grammar names them, so no text can hold one.
Source: openai/harmony docs/format.md; llguidance docs/syntax.md; docs/constraints.md.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jupyter_mlx_gpt_oss.errors import InvalidRequestError
from jupyter_mlx_gpt_oss.harmony.encoding import END, MESSAGE
from jupyter_mlx_gpt_oss.harmony.fields import require_list, require_name, require_object
from jupyter_mlx_gpt_oss.harmony.python_tool import PYTHON
from jupyter_mlx_gpt_oss.harmony.schema_limits import SchemaLimits
from jupyter_mlx_gpt_oss.harmony.tool_choice import ToolChoice, read_tool_choice

# The model writes its header in any of these orders; a grammar that knew only one would keep it from calling at all
# (vLLM pull request 51020).
_RULES = r"""
thought: <|channel|> "analysis" <|message|> TEXT <|end|> <|start|> "assistant"
no_thought: <|channel|> "analysis" <|message|> <|end|> <|start|> "assistant"
preamble: <|channel|> "commentary" <|message|> TEXT <|end|> <|start|> "assistant"
json_type: " json" | " "? <|constrain|> "json"
call_type: json_type | " code"
CALL_CHANNEL: "commentary" | "analysis"
TEXT: /(.|\n)*/
"""
_TEXT_ANSWER = 'answer: <|channel|> "final" <|message|> TEXT (<|return|> | <|end|>)'
_JSON_ANSWER = 'answer: <|channel|> "final" json_type? <|message|> @answer_body (<|return|> | <|end|>)'
_ANY_OBJECT = {"type": "object"}
# Without a bound on white space a model can fill an answer with it.
_JSON_STYLE = {"x-guidance": {"whitespace_pattern": r"[ \n\r\t]{1,40}"}}
_SCHEMA_PARAM = "response_format.json_schema.schema"


@dataclass(frozen=True, slots=True)
class _Call:
    """One tool, as the grammar sees it."""

    name: str
    recipient: str
    schema: Mapping[str, Any] | None
    """Of its arguments; None: any text."""
    param: str


def turn_grammar(
    tools: Sequence[Mapping[str, Any]] = (),
    *,
    tool_choice: str | Mapping[str, Any] = "auto",
    response_format: Mapping[str, Any] | None = None,
    opened: Sequence[int] = (),
    reasoning_effort: str = "medium",
) -> str | None:
    """Return the grammar of a turn, or None if nothing holds the turn to anything.

    Args:
        tools: OpenAI's tools, `type: function` or `type: python`.
        tool_choice: OpenAI's.
        response_format: OpenAI's.
        opened: the ids that already stand behind the prompt's `<|start|>assistant`; the grammar goes on after them.
        reasoning_effort: none leaves no analysis but the empty one.

    Returns:
        JSON: `grammars`, as llguidance takes them, of which the first is the turn's; `opened`; and `params`, the path
        of every schema by the name of its grammar.

    Raises:
        InvalidRequestError: a field of the wrong shape, a schema beyond the limits, or a call required in a turn whose
            answer has begun; names the field. Any other exception is a bug.
    """
    limits = SchemaLimits()
    answer_schema = _answer_schema(response_format)
    if not tools and answer_schema is None and tool_choice in ("auto", "none"):
        return None
    offered = [_read_call(tool, f"tools[{index}]") for index, tool in enumerate(require_list(tools, "tools"))]
    choice = read_tool_choice(tool_choice, [call.name for call in offered])
    if choice.is_required and list(opened).count(MESSAGE) > list(opened).count(END):
        message = "tool_choice requires a call, and the last message is an answer that has begun."
        raise InvalidRequestError(message, param="tool_choice")
    calls = [call for call in offered if call.name in choice.names]
    schemas = {
        f"arguments_{index}": (call.schema, call.param)
        for index, call in enumerate(calls)
        if call.schema is not None
    }
    if answer_schema is not None and not choice.is_required:
        schemas["answer_body"] = (answer_schema, _SCHEMA_PARAM)
    for schema, param in schemas.values():
        limits.add(schema, param)
    lark = _lark(calls, choice, has_thoughts=reasoning_effort != "none", is_json=answer_schema is not None)
    bodies = [
        {"name": name, "json_schema": {**schema, **_JSON_STYLE}} for name, (schema, _) in schemas.items()
    ]
    grammar = {
        "grammars": [{"lark_grammar": lark}, *bodies],
        "opened": list(opened),
        "params": {name: param for name, (_, param) in schemas.items()},
    }
    # A lone surrogate, which JSON can spell and UTF-8 cannot, becomes U+FFFD, as in a prompt.
    text = json.dumps(grammar, ensure_ascii=False)
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _answer_schema(response_format: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Return what the answer is held to; None: it is text."""
    fields = {} if response_format is None else require_object(response_format, "response_format")
    match fields.get("type", "text"):
        case "text":
            return None
        case "json_object":
            return _ANY_OBJECT
        case "json_schema":
            json_schema = require_object(fields.get("json_schema"), "response_format.json_schema")
            return require_object(json_schema.get("schema"), _SCHEMA_PARAM)
    message = "response_format.type must be text, json_object or json_schema."
    raise InvalidRequestError(message, param="response_format.type")


def _read_call(tool: Any, param: str) -> _Call:
    fields = require_object(tool, param)
    if fields.get("type") == PYTHON:
        return _Call(PYTHON, PYTHON, None, param)
    function = require_object(fields.get("function"), f"{param}.function")
    name = require_name(function.get("name"), f"{param}.function.name")
    param = f"{param}.function.parameters"
    schema: Mapping[str, Any] = _ANY_OBJECT
    if function.get("strict") is True:
        schema = _strict_schema(function.get("parameters"), param)
    return _Call(name, f"functions.{name}", schema, param)


def _strict_schema(parameters: Any, param: str) -> Mapping[str, Any]:
    if parameters is None:
        return {**_ANY_OBJECT, "additionalProperties": False}
    schema = require_object(parameters, param)
    kind = schema.get("type", "object")
    if "object" not in (kind if isinstance(kind, list) else [kind]):
        raise InvalidRequestError(f"{param}.type must be object.", param=f"{param}.type")
    return {**schema, **_ANY_OBJECT}


def _lark(calls: Sequence[_Call], choice: ToolChoice, *, has_thoughts: bool, is_json: bool) -> str:
    """Return the turn: thoughts and preambles, then one call or the answer.

    Where JSON is asked for there is no preamble, not even before a call: a client reads all content as that JSON.
    """
    before = "(thought | preamble)*" if has_thoughts else "no_thought? preamble*"
    if is_json:
        before = "thought*" if has_thoughts else "no_thought?"
    turns = []
    rules = []
    if calls:
        turns.append(f"{before} call")
        rules.append(f"call: ({' | '.join(f'call_{index}' for index in range(len(calls)))}) <|call|>")
        rules += [_call_rule(index, call) for index, call in enumerate(calls)]
    if not choice.is_required:
        turns.append(f"{before} answer")
        rules.append(_JSON_ANSWER if is_json else _TEXT_ANSWER)
    return "\n".join([f"start: {' | '.join(turns)}", *rules, _RULES])


def _call_rule(index: int, call: _Call) -> str:
    to = f'" to={call.recipient}"'
    body = "TEXT" if call.schema is None else f"@arguments_{index}"
    channel_first = f"<|channel|> CALL_CHANNEL {to} call_type? <|message|> {body}"
    recipient_first = f"{to} <|channel|> CALL_CHANNEL call_type? <|message|> {body}"
    return f"call_{index}: {channel_first} | {recipient_first}"
