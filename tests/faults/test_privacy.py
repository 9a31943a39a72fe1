"""What people write and are told stays between them and the model: no log at INFO, no metric and no error holds it."""

import json
import logging
from pathlib import Path
from typing import Any

import httpx
import pytest
from jupyter_server.serverapp import ServerApp

from jupyter_mlx_gpt_oss.app import GptOss
from jupyter_mlx_gpt_oss.errors import GenerationError
from tests.support.http_client import HttpClient
from tests.support.jupyter_process import TOKEN, jupyter_process
from tests.support.scripted_engine import ScriptedEngine

ASKED = "zebrafish-7731"
ANSWERED = "quokka-9042"
WRONG_KEY = "sk-gpt-oss-okapi-5150"
_ANSWER = f"<|channel|>analysis<|message|>{ANSWERED}<|end|><|start|>assistant<|channel|>final<|message|>{ANSWERED}<|return|>"
_CALL = f'<|channel|>commentary to=functions.look<|constrain|>json<|message|>{{"at": "{ANSWERED}"}}<|call|>'
_TOOL = {
    "type": "function",
    "function": {"name": "look", "description": ASKED, "parameters": {"type": "object", "properties": {}}},
}
_LIMITS = {
    "chat/completions": {"max_tokens": 8},
    "responses": {"max_output_tokens": 8},
    "completions": {"max_tokens": 8},
}


def chat(**fields: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": ASKED}], **fields}


def requests() -> list[tuple[str, dict[str, Any]]]:
    """Return requests that are answered, refused in every room, and broken off."""
    chats: list[dict[str, Any]] = [
        chat(),
        chat(stream=True),
        chat(tools=[_TOOL]),
        chat(temperature=ASKED),
        chat(temperature=9),
        chat(messages=[{"role": "user", "content": {"text": ASKED}}]),
        chat(messages=[{"role": "user", "content": [{"type": "text", "text": 5, "more": ASKED}]}]),
        chat(messages=[{"role": "assistant", "tool_calls": [{"id": 1, "function": {"arguments": ASKED}}]}]),
        chat(
            response_format={"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": ASKED}}}
        ),
        chat(tools=[{"type": "function", "function": {"name": "look", "parameters": ASKED}}]),
        chat(stop=[ASKED] * 17),
        chat(max_tokens=0, user=ASKED, metadata={"a": ASKED}),
        {"messages": ASKED},
    ]
    responses: list[dict[str, Any]] = [
        {"input": ASKED},
        {"input": ASKED, "stream": True, "instructions": ASKED},
        {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": ASKED}]}]},
        {"input": [{"type": "function_call_output", "output": ASKED}]},
        {"input": ASKED, "max_output_tokens": ASKED},
    ]
    completions: list[dict[str, Any]] = [{"prompt": ASKED}, {"prompt": [ASKED, 5]}, {"prompt": {"a": ASKED}}]
    return [
        *[("chat/completions", body) for body in chats],
        *[("responses", body) for body in responses],
        *[("completions", body) for body in completions],
    ]


async def test_no_prompt_answer_or_key_is_in_log_metrics_or_errors(
    http: HttpClient,
    engine: ScriptedEngine,
    gpt_oss: GptOss,
    jp_serverapp: ServerApp,
    caplog: pytest.LogCaptureFixture,
) -> None:
    manager: Any = jp_serverapp.extension_manager
    await manager.start_all_extensions()
    caplog.set_level(logging.INFO)
    key = gpt_oss.door.api_key
    told: list[str] = []
    statuses = set()
    for ending in (
        (_ANSWER,),
        (_CALL,),
        ("<|channel|>final<|message|>Hello", GenerationError("No.")),
        (RuntimeError(ASKED),),
    ):
        for path, body in requests():
            engine.enqueue(*ending)
            reply = await http.post(f"gpt-oss/v1/{path}", body, headers={"Authorization": f"Bearer {key}"})
            statuses.add(reply.status)
            engine._scripts.clear()
            if reply.status >= 400:
                told.append(reply.text)
    for broken in (json.dumps(chat()).encode()[:-3], ASKED.encode(), b'{"a": "' + ASKED.encode() + b'\xff"}'):
        reply = await http.post("gpt-oss/v1/chat/completions", broken)
        told += [reply.text]
    stranger = {"Authorization": f"Bearer {WRONG_KEY}"}
    reply = await http.post("gpt-oss/v1/chat/completions", chat(), headers=stranger)
    told.append(reply.text)
    told.append((await http.get("metrics")).text)
    told += [record.getMessage() for record in caplog.records if record.levelno >= logging.INFO]
    told += [str(record.exc_text) for record in caplog.records]
    text = "\n".join(told)
    assert statuses >= {200, 400, 500}
    assert "req_" in text  # there is a log
    for secret in (ASKED, ANSWERED, WRONG_KEY, key):
        assert secret not in text, [line for line in told if secret in line]


def test_no_prompt_or_key_is_in_the_log_of_a_real_server(tmp_path: Path) -> None:
    with jupyter_process(tmp_path / "home", "server", "--port=0", "--ServerApp.log_level=INFO") as server:
        headers = {"Authorization": f"token {TOKEN}"}
        with httpx.Client(base_url=server.openai_url, headers=headers, timeout=120) as client:
            for path, body in requests():
                client.post(path, json={**_LIMITS[path], **body})
        [file] = server.home.rglob("api_key")
        log = server.log
    assert "is ready" in log
    assert ASKED not in log
    assert file.read_text().strip() not in log
