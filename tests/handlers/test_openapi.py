"""The OpenAPI document against the routes: all of them are in it, and they answer as it says."""

import re
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from tornado.web import RequestHandler

from jupyter_mlx_gpt_oss.app import GptOss
from jupyter_mlx_gpt_oss.errors import EngineDeadError, GenerationError, QueueFullError
from jupyter_mlx_gpt_oss.handlers.not_found import NotFoundHandler
from jupyter_mlx_gpt_oss.handlers.routes import routes
from jupyter_mlx_gpt_oss.protocol.openapi import openapi_document
from tests.support.http_client import HttpClient, Reply
from tests.support.scripted_engine import ScriptedEngine

DOCUMENT = openapi_document(version="1", server_url="")
BODIES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": [{"role": "user", "content": "Hi"}], "logprobs": True},
    "/v1/completions": {"prompt": [1, 2], "logprobs": 1, "return_token_ids": True},
    "/v1/tokenize": {"messages": [{"role": "user", "content": "Hi"}], "return_token_strs": True},
    "/v1/detokenize": {"tokens": [1, 2]},
    "/v1/responses": {"input": "Hi"},
    "/v1/load": {},
    "/v1/unload": {},
}
GENERATING = ["/v1/chat/completions", "/v1/completions", "/v1/responses"]
OPERATIONS = [
    (method, path, described)
    for path, methods in DOCUMENT["paths"].items()
    for method, described in methods.items()
]


def schema_check(reply: Reply, path: str, method: str) -> None:
    """Hold an answer to what the document says of its status and type."""
    described = DOCUMENT["paths"][path][method]["responses"][str(reply.status)]
    schema = described["content"]["application/json"]["schema"]
    whole = {**schema, "components": DOCUMENT["components"]}
    errors = [error.message for error in Draft202012Validator(whole).iter_errors(reply.json)]
    assert errors == []


def test_the_document_has_every_route_and_no_other(gpt_oss: GptOss) -> None:
    registered = set()
    for pattern, handler, _ in routes(gpt_oss.door):
        if handler is not NotFoundHandler:
            path = re.sub(r"\([^)]*\)", "{id}", pattern.removesuffix("/?")).replace("\\", "")
            path = path.removeprefix("/gpt-oss") or "/"
            registered |= {
                (method, path)
                for method in ("get", "post", "delete", "put", "patch", "head")
                if getattr(handler, method) is not getattr(RequestHandler, method)
            }
    assert registered == {(method, path) for method, path, _ in OPERATIONS}


async def test_the_document_is_served_for_where_it_was_asked_for(http: HttpClient) -> None:
    document = (await http.get("gpt-oss/openapi.json")).json
    (server,) = document["servers"]
    assert server["url"].startswith("http://")
    assert server["url"].endswith("/gpt-oss")
    assert set(document["paths"]) == set(DOCUMENT["paths"])


@pytest.mark.parametrize("path", sorted(BODIES))
async def test_an_answer_is_as_described(http: HttpClient, engine: ScriptedEngine, path: str) -> None:
    engine.enqueue(
        "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>Hi.<|return|>"
    )
    reply = await http.post(f"gpt-oss{path}", BODIES[path])
    assert reply.status == 200
    schema_check(reply, path, "post")


async def test_what_is_kept_and_listed_is_as_described(http: HttpClient, engine: ScriptedEngine) -> None:
    await engine.load()
    response_id = (await http.post("gpt-oss/v1/responses", {"input": "Hi"})).json["id"]
    for path in ("/health", "/v1/models", "/v1/responses/{id}", "/v1/responses/{id}/input_items"):
        reply = await http.get(f"gpt-oss{path.replace('{id}', response_id)}")
        assert reply.status == 200
        schema_check(reply, path, "get")
    schema_check(await http.get("gpt-oss/v1/models/demo"), "/v1/models/{id}", "get")
    cancelled = await http.post(f"gpt-oss/v1/responses/{response_id}/cancel", {})
    assert cancelled.status == 400
    schema_check(cancelled, "/v1/responses/{id}/cancel", "post")
    deleted = await http.send("DELETE", f"gpt-oss/v1/responses/{response_id}")
    schema_check(deleted, "/v1/responses/{id}", "delete")


@pytest.mark.parametrize(("method", "path", "described"), OPERATIONS, ids=lambda part: str(part)[:40])
async def test_refusals_are_as_described(
    http: HttpClient, method: str, path: str, described: dict[str, Any]
) -> None:
    url = f"gpt-oss{path.replace('{id}', 'none')}"
    body = b"{}" if method == "post" else None
    stranger = await http.send(method.upper(), url, body=body, headers={"Authorization": "Bearer wrong"})
    assert stranger.status == 401
    schema_check(stranger, path, method)
    wrong_method = await http.send("PATCH", url, body=b"{}")
    assert wrong_method.status == 405
    schema_check(wrong_method, path, method)
    if "404" in described["responses"] and "{id}" in path:
        missing = await http.send(method.upper(), url, body=body)
        assert missing.status == 404
        schema_check(missing, path, method)
    if "requestBody" in described:
        wrong_body = await http.send(method.upper(), url, body=b"[")
        assert wrong_body.status == 400
        schema_check(wrong_body, path, method)


@pytest.mark.parametrize("path", GENERATING)
async def test_faults_of_the_engine_are_as_described(
    http: HttpClient, engine: ScriptedEngine, path: str
) -> None:
    for error in (QueueFullError("Full."), EngineDeadError("Gone."), GenerationError("Broken.")):
        engine.enqueue(error)
        reply = await http.post(f"gpt-oss{path}", BODIES[path])
        assert reply.status == error.status
        schema_check(reply, path, "post")
