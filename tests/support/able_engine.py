"""An engine that does what it is asked, by rule: a stand-in for an able model, for suites and clients in other processes.

It has nothing but the prompt, as a model. A tool that is offered it calls once for each question; the result of a call
it repeats; a schema it keeps to; to everything else it repeats what was said. It always thinks first.
"""

import json
import re
from typing import Any

from typing_extensions import override

from jupyter_mlx_gpt_oss.engine.request import GenerationRequest
from jupyter_mlx_gpt_oss.harmony.encoding import decode
from tests.support.scripted_engine import ScriptedEngine, Step

THOUGHT = "I know what to do."
_ANALYSIS = f"<|channel|>analysis<|message|>{THOUGHT}<|end|><|start|>assistant"
_NO_ANALYSIS = "<|start|>assistant<|channel|>analysis<|message|><|end|>"  # opens an answer without reasoning
_FINAL = "<|channel|>final<|message|>"
_FUNCTION = re.compile(r"^type (\S+) = \((?:_: (.*?))?\) => any;$", re.DOTALL | re.MULTILINE)
_REQUIRED_FIELD = re.compile(r"^([\w$-]+): (.+),", re.MULTILINE)  # those within another object are indented
_SCHEMA = re.compile(r"# Response Formats\n\n.*\n(\{.*?\})<\|end\|>", re.DOTALL)
_VALUES: dict[str, Any] = {"number": 1, "boolean": True, "null": None}
_SAMPLES: dict[str, Any] = {"integer": 1, "number": 1.5, "boolean": True, "null": None, "array": []}


class AbleEngine(ScriptedEngine):
    """Answers by rule."""

    @override
    def script_for(self, request: GenerationRequest) -> tuple[Step, ...]:
        return (answer_to(decode(list(request.prompt_token_ids))),)


def answer_to(prompt: str) -> str:
    """Return the rest of the turn that a prompt begins."""
    if not prompt.startswith("<|start|>"):
        return " and so on.<|endoftext|>"
    messages = prompt.replace(_NO_ANALYSIS, "").split("<|start|>")[1:]
    author, _, text = messages[-2].partition("<|message|>")
    text = text.removesuffix("<|end|>")
    if function := _FUNCTION.search(prompt) if author.startswith("user") else None:
        header = f"<|channel|>commentary to=functions.{function[1]} <|constrain|>json<|message|>"
        arguments = json.dumps(_arguments(function[2] or "", text), ensure_ascii=False)
        return f"{_ANALYSIS}{header}{arguments}<|call|>"
    schema = _SCHEMA.search(prompt)
    content = json.dumps(_instance(json.loads(schema[1]), text)) if schema else _repeated(author, text)
    opened = messages[-1].partition("assistant")[2]
    return f"{content}<|return|>" if _FINAL in opened else f"{_ANALYSIS}{_FINAL}{content}<|return|>"


def _repeated(author: str, text: str) -> str:
    return f"The tool says: {text}" if "to=assistant" in author else f"You said: {text}"


def _last_word(text: str) -> str:
    words = re.findall(r"[\w'-]+", text)
    return words[-1] if words else "nothing"


def _arguments(parameters: str, text: str) -> dict[str, Any]:
    """Return a value for each required field: for text, the last word of what the user said."""
    return {name: _value(kind, text) for name, kind in _REQUIRED_FIELD.findall(parameters)}


def _value(kind: str, text: str) -> Any:
    if kind.endswith("[]"):
        return [_value(kind.removesuffix("[]").strip("()"), text)]
    first = kind.split(" | ", maxsplit=1)[0]
    if first.startswith('"'):
        return json.loads(first)
    return _VALUES.get(first, _last_word(text) if first == "string" else {})


def _instance(schema: dict[str, Any], text: str) -> Any:
    """Return something that keeps to a plain schema, without references."""
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type", "object")
    if kind == "string":
        return _last_word(text)
    if kind == "object":
        required = schema.get("required", ())
        return {
            key: _instance(value, text)
            for key, value in schema.get("properties", {}).items()
            if key in required
        }
    return _SAMPLES.get(kind)
