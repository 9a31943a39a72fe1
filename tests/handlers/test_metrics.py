"""Jupyter's own `/metrics`, with ours."""

import asyncio
from typing import Any

from jupyter_server.serverapp import ServerApp

from jupyter_mlx_gpt_oss.app import GptOss
from jupyter_mlx_gpt_oss.errors import GenerationError
from tests.support.http_client import HttpClient
from tests.support.scripted_engine import ScriptedEngine


async def start(server: ServerApp) -> None:
    manager: Any = server.extension_manager
    await manager.start_all_extensions()


def requests(route: str, outcome: str) -> str:
    return f'gpt_oss_requests_total{{outcome="{outcome}",route="{route}"}} 1.0'


async def test_jupyters_metrics_have_ours_until_the_server_stops(
    http: HttpClient, engine: ScriptedEngine, gpt_oss: GptOss, jp_serverapp: ServerApp
) -> None:
    await start(jp_serverapp)
    engine.enqueue("<|channel|>final<|message|>Hello.<|return|>")
    await http.chat()
    text = (await http.get("metrics")).text
    assert requests("v1/chat/completions", "ok") in text
    assert "gpt_oss_completion_tokens_total 6.0" in text
    assert 'gpt_oss_engine_state{state="ready"} 1.0' in text
    assert "http_request_duration_seconds" in text
    await gpt_oss.stop_extension()
    assert "gpt_oss_" not in (await http.get("metrics")).text


async def test_requests_are_counted_by_what_became_of_them(
    http: HttpClient, engine: ScriptedEngine, gpt_oss: GptOss, jp_serverapp: ServerApp
) -> None:
    await start(jp_serverapp)
    await http.get("gpt-oss/v1/models/a/secret/name")
    await http.get("gpt-oss/secret")
    await http.get("gpt-oss/v1/models", headers={"Authorization": "Bearer nope"})
    await http.send("OPTIONS", "gpt-oss/v1/models")
    engine.enqueue("<|channel|>final<|message|>Hello", GenerationError("No."))
    await http.chat(stream=True)
    engine.enqueue(asyncio.Event())
    request = asyncio.ensure_future(http.chat())
    await engine.beginnings.get()
    await engine.beginnings.get()
    await gpt_oss.door.open_requests.stop(1)
    await request
    text = (await http.get("metrics")).text
    assert requests("v1/models/{id}", "model_not_found") in text
    assert requests("other", "not_found") in text
    assert requests("v1/models", "invalid_api_key") in text
    assert requests("v1/chat/completions", "generation_failed") in text
    assert requests("v1/chat/completions", "server_stopping") in text
    assert "secret" not in text
    assert text.count("gpt_oss_requests_total{") == 5


async def test_a_server_that_made_no_engine_has_metrics_too(
    http: HttpClient, gpt_oss: GptOss, jp_serverapp: ServerApp
) -> None:
    await start(jp_serverapp)
    assert 'gpt_oss_engine_state{state="unloaded"} 1.0' in (await http.get("metrics")).text
    assert "engine" not in vars(gpt_oss.service)
