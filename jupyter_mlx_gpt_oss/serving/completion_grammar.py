"""What a raw answer is held to, as the grammar that the engine takes. Text alone; it is compiled in the worker.

Source: vLLM's structured outputs; llguidance docs/syntax.md; docs/constraints.md for the limits.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from jupyter_mlx_gpt_oss.errors import InvalidRequestError
from jupyter_mlx_gpt_oss.harmony.schema_limits import SchemaLimits
from jupyter_mlx_gpt_oss.protocol.completions import CompletionRequest, StructuredOutputs
from jupyter_mlx_gpt_oss.serving.grammar_limits import check_grammar, require_short

_FIELD = "structured_outputs"
_ANY_OBJECT = {"type": "object"}
# Without a bound on white space a model can fill an answer with it.
_SOME_WHITE_SPACE = {"whitespace_pattern": r"[ \n\r\t]{1,40}"}
_NO_WHITE_SPACE = {"whitespace_flexible": False}
_REGEX_PARTS = re.compile(r"(\\.)|([/\n\r])", re.DOTALL)
_REGEX_ESCAPES = {"/": r"\/", "\n": r"\n", "\r": r"\r"}


def completion_grammar(request: CompletionRequest) -> str | None:
    """Return the grammar of a raw answer, as `GenerationRequest.grammar` has it; None: any text.

    Raises:
        InvalidRequestError: no JSON schema, or beyond the limits; names the field.
    """
    held_to, format_ = request.structured_outputs, request.response_format
    if format_ is not None and format_.json_schema is not None:
        return _json_grammar(format_.json_schema.schema_, "response_format.json_schema.schema")
    if format_ is not None and format_.type == "json_object":
        return _json_grammar(_ANY_OBJECT, "response_format")
    return None if held_to is None else _structured_grammar(held_to)


def _structured_grammar(held_to: StructuredOutputs) -> str:
    style = _NO_WHITE_SPACE if held_to.disable_any_whitespace else _SOME_WHITE_SPACE
    if held_to.json_schema is not None:
        return _json_grammar(_schema_of(held_to.json_schema), f"{_FIELD}.json", style)
    if held_to.json_object:
        return _json_grammar(_ANY_OBJECT, f"{_FIELD}.json_object", style)
    return json.dumps({"grammars": [{"lark_grammar": _lark(held_to)}]}, ensure_ascii=False)


def _lark(held_to: StructuredOutputs) -> str:
    if held_to.regex is not None:
        require_short(held_to.regex, f"{_FIELD}.regex")
        return f"start: /{_REGEX_PARTS.sub(_escaped, held_to.regex)}/"
    if held_to.choice is not None:
        lark = "start: " + " | ".join(json.dumps(choice, ensure_ascii=False) for choice in held_to.choice)
        require_short(lark, f"{_FIELD}.choice")
        return lark
    grammar = held_to.grammar or ""
    check_grammar(grammar, f"{_FIELD}.grammar")
    return grammar


def _json_grammar(schema: Mapping[str, Any], param: str, style: Mapping[str, Any] = _SOME_WHITE_SPACE) -> str:
    SchemaLimits().add(schema, param)
    body = {"name": "body", "json_schema": {**schema, "x-guidance": style}}
    grammars = [{"lark_grammar": "start: @body"}, body]
    return json.dumps({"grammars": grammars, "params": {"body": param}}, ensure_ascii=False)


def _schema_of(value: Mapping[str, Any] | str) -> Mapping[str, Any]:
    schema: Any = value
    if isinstance(value, str):
        try:
            schema = json.loads(value)
        except (ValueError, RecursionError):
            schema = None
    if isinstance(schema, Mapping):
        return schema
    raise InvalidRequestError("`structured_outputs.json` must be a JSON schema.", param=f"{_FIELD}.json")


def _escaped(part: re.Match[str]) -> str:
    return str(part[1] or _REGEX_ESCAPES[part[2]])
