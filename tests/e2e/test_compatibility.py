"""GPT-OSS's compatibility test, re-stated: a tool is called, its result goes back, and the reasoning is there all along.

Thirty cases, five of each of six tools, over chat completions and responses, whole and streamed. The requests have the
shape in which OpenAI's Agents SDK sends them; the engine writes its calls in each form in which the model does.
Source: openai/gpt-oss, compatibility-test (what it demands of an answer).
"""

import json
from dataclasses import dataclass
from typing import Any

import jsonschema
import pytest

from tests.support.http_client import HttpClient
from tests.support.scripted_engine import ScriptedEngine

CHAT = "gpt-oss/v1/chat/completions"
RESPONSES = "gpt-oss/v1/responses"
THOUGHT = "A tool knows this."
ANSWER = "Here is what it says."
RESULT = '{"status": "done"}'
JsonObject = dict[str, Any]

TOOLS: dict[str, JsonObject] = {
    "get_weather": {"city": {"type": "string", "description": "A city.\nOf any country."}},
    "get_system_health": {},
    "markdown_to_html": {"markdown": {"type": "string"}},
    "detect_language": {"text": {"type": "string", "minLength": 1}},
    "generate_chart": {
        "kind": {"enum": ["line", "bar", "scatter"]},
        "points": {"type": "array", "items": {"type": "array", "items": {"type": "number"}}},
        "title": {"type": ["string", "null"]},
    },
    "query_database": {
        "table": {"type": "string"},
        "columns": {"type": "array", "items": {"type": "string"}},
        "limit": {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}]},
        "order": {"$ref": "#/$defs/order"},
    },
}
ORDER = {"order": {"type": "object", "properties": {"by": {"type": "string"}, "down": {"type": "boolean"}}}}

QUESTIONS: dict[str, list[tuple[str, JsonObject]]] = {
    "get_weather": [
        ("How is the weather in Lisbon?", {"city": "Lisbon"}),
        ("Do I need an umbrella in Bergen today?", {"city": "Bergen"}),
        ("Is it warmer than usual in São Paulo?", {"city": "São Paulo"}),
        ("東京の天気は?", {"city": "東京"}),
        ("Wind in St. John's, please.", {"city": "St. John's"}),
    ],
    "get_system_health": [
        ("Is everything up?", {}),
        ("Check the system before I deploy.", {}),
        ("health?", {}),
        ("Are there any incidents right now?", {}),
        ("Tell me whether the service is well, in one word.", {}),
    ],
    "markdown_to_html": [
        ("Make HTML of: # Title", {"markdown": "# Title"}),
        ("Convert this list.\n- a\n- b", {"markdown": "- a\n- b"}),
        ("HTML for **bold** text", {"markdown": "**bold** text"}),
        ('Quote as HTML: > "so" \\ it is', {"markdown": '> "so" \\ it is'}),
        ("Turn `<|end|>` into HTML", {"markdown": "`<|end|>`"}),
    ],
    "detect_language": [
        ("Which language is 'Guten Morgen'?", {"text": "Guten Morgen"}),
        ("What is 'buenas noches' written in?", {"text": "buenas noches"}),
        ("Language of: Où est la gare ?", {"text": "Où est la gare ?"}),
        ("In which language is 'здравствуйте'?", {"text": "здравствуйте"}),
        ("And this one: 😀 hello", {"text": "😀 hello"}),
    ],
    "generate_chart": [
        ("A line through (0, 1) and (2, 3).", {"kind": "line", "points": [[0, 1], [2, 3]], "title": None}),
        ("Bars of 3 and 5, called Sales.", {"kind": "bar", "points": [[1, 3], [2, 5]], "title": "Sales"}),
        ("Scatter (-1.5, 2e3).", {"kind": "scatter", "points": [[-1.5, 2e3]], "title": ""}),
        ("An empty line chart.", {"kind": "line", "points": [], "title": None}),
        ("Bars by quarter: 1 2 3 4", {"kind": "bar", "points": [[i, i] for i in range(1, 5)], "title": "Q"}),
    ],
    "query_database": [
        ("All names of users.", {"table": "users", "columns": ["name"], "limit": None, "order": {}}),
        ("Ten ids.", {"table": "users", "columns": ["id"], "limit": 10, "order": {"by": "id"}}),
        ("Newest orders", {"table": "orders", "columns": ["*"], "limit": 5, "order": {"by": "at", "down": True}}),
        ("Prices?", {"table": "items", "columns": ["name", "price"], "limit": None, "order": {"down": False}}),
        ("One row of logs", {"table": "logs", "columns": [], "limit": 1, "order": {"by": "at", "down": True}}),
    ],
}  # fmt: skip
PLAIN = "<|channel|>commentary to=functions.{name} <|constrain|>json<|message|>"
HEADERS = (
    PLAIN,
    "<|channel|>commentary to=functions.{name} json<|message|>",
    " to=functions.{name}<|channel|>commentary json<|message|>",
    "<|channel|>analysis to=functions.{name} code<|message|>",
    f"<|channel|>commentary<|message|>Let me look.<|end|><|start|>assistant{PLAIN}",
)


@dataclass(frozen=True, slots=True)
class Case:
    tool: str
    question: str
    arguments: JsonObject
    header: str

    @property
    def parameters(self) -> JsonObject:
        schema = {"type": "object", "properties": TOOLS[self.tool], "required": [*TOOLS[self.tool]]}
        return schema | {"additionalProperties": False, "$defs": ORDER}

    def play(self, engine: ScriptedEngine) -> None:
        """Have the engine call the tool, and answer once it has the result."""
        thought = f"<|channel|>analysis<|message|>{THOUGHT}<|end|><|start|>assistant"
        arguments = json.dumps(self.arguments, ensure_ascii=False).replace("<|", "<\\u007c")
        engine.enqueue(thought, self.header.format(name=self.tool) + arguments, "<|call|>")
        engine.enqueue(f"<|channel|>final<|message|>{ANSWER}<|return|>")

    def check(self, calls: list[JsonObject]) -> None:
        """The tool was called once, with what was asked for."""
        (call,) = calls
        arguments = json.loads(call["arguments"])
        jsonschema.validate(arguments, self.parameters)
        assert (call["name"], arguments) == (self.tool, self.arguments)


CASES = [
    pytest.param(Case(tool, question, arguments, header), id=f"{tool}-{index}")
    for tool, questions in QUESTIONS.items()
    for index, ((question, arguments), header) in enumerate(zip(questions, HEADERS, strict=True))
]


def chat_body(case: Case, *later: JsonObject) -> JsonObject:
    """A chat request as the Agents SDK sends it."""
    function = {"name": case.tool, "description": "", "parameters": case.parameters, "strict": True}
    return {
        "model": "gpt-oss-120b",
        "messages": [{"role": "user", "content": case.question}, *later],
        "tools": [{"type": "function", "function": function}],
        "response_format": {"type": "text"},
    }


def after_call(message: JsonObject) -> list[JsonObject]:
    """The assistant's message as the Agents SDK sends it back, without content, and the tool's result."""
    (call,) = message["tool_calls"]
    return [
        {"role": "assistant", "reasoning": message["reasoning"], "tool_calls": [call]},
        {"role": "tool", "tool_call_id": call["id"], "content": RESULT},
    ]


def folded(frames: list[Any]) -> JsonObject:
    """Add up a stream of chat chunks."""
    *chunks, done = frames
    assert done == "[DONE]"
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    calls: list[JsonObject] = []
    for piece in (piece for delta in deltas for piece in delta.get("tool_calls") or ()):
        if "id" in piece:
            calls.append(piece)
        else:
            calls[piece["index"]]["function"]["arguments"] += piece["function"]["arguments"]
    message: JsonObject = {
        key: "".join(delta.get(key) or "" for delta in deltas) for key in ("content", "reasoning")
    }
    return message | {
        "tool_calls": [{key: call[key] for key in ("id", "type", "function")} for call in calls]
    }


def responses_body(case: Case, *later: JsonObject) -> JsonObject:
    """A response request as the Agents SDK sends it."""
    tool = {"type": "function", "name": case.tool, "description": "", "parameters": case.parameters}
    return {
        "model": "gpt-oss-120b",
        "input": [{"role": "user", "content": case.question}, *later],
        "tools": [tool | {"strict": True}],
        "include": [],
    }


def check_reasoning(output: list[JsonObject]) -> None:
    """The first item is the reasoning, with its text."""
    assert output[0]["type"] == "reasoning"
    assert output[0]["content"] == [{"type": "reasoning_text", "text": THOUGHT}]


def after_output(output: list[JsonObject]) -> list[JsonObject]:
    """All that came, as the Agents SDK sends it back, and the tool's result."""
    call = output[-1]
    result = {"type": "function_call_output", "call_id": call["call_id"], "output": RESULT}
    return [*output, result | {"status": "completed"}]


@pytest.mark.parametrize("case", CASES)
async def test_chat(http: HttpClient, engine: ScriptedEngine, case: Case) -> None:
    case.play(engine)
    choice = (await http.post(CHAT, chat_body(case))).json["choices"][0]
    assert (choice["message"]["reasoning"], choice["finish_reason"]) == (THOUGHT, "tool_calls")
    case.check([call["function"] for call in choice["message"]["tool_calls"]])
    reply = await http.post(CHAT, chat_body(case, *after_call(choice["message"])))
    assert reply.json["choices"][0]["message"]["content"] == ANSWER


@pytest.mark.parametrize("case", CASES)
async def test_chat_streaming(http: HttpClient, engine: ScriptedEngine, case: Case) -> None:
    case.play(engine)
    message = folded((await http.post(CHAT, chat_body(case) | {"stream": True})).frames)
    assert message["reasoning"] == THOUGHT
    case.check([call["function"] for call in message["tool_calls"]])
    reply = await http.post(CHAT, chat_body(case, *after_call(message)) | {"stream": True})
    assert folded(reply.frames)["content"] == ANSWER


@pytest.mark.parametrize("case", CASES)
async def test_responses(http: HttpClient, engine: ScriptedEngine, case: Case) -> None:
    case.play(engine)
    output = (await http.post(RESPONSES, responses_body(case))).json["output"]
    check_reasoning(output)
    case.check([item for item in output if item["type"] == "function_call"])
    reply = await http.post(RESPONSES, responses_body(case, *after_output(output)))
    assert reply.json["output"][-1]["content"][0]["text"] == ANSWER


@pytest.mark.parametrize("case", CASES)
async def test_responses_streaming(http: HttpClient, engine: ScriptedEngine, case: Case) -> None:
    case.play(engine)
    *events, _done = (await http.post(RESPONSES, responses_body(case) | {"stream": True})).frames
    deltas = [event["delta"] for event in events if event["type"] == "response.reasoning_text.delta"]
    assert "".join(deltas) == THOUGHT
    output = events[-1]["response"]["output"]
    check_reasoning(output)
    case.check([item for item in output if item["type"] == "function_call"])
    reply = await http.post(RESPONSES, responses_body(case, *after_output(output)) | {"stream": True})
    assert reply.frames[-2]["response"]["output"][-1]["content"][0]["text"] == ANSWER
