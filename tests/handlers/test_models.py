"""Loading, switching and unloading the model over HTTP."""

import asyncio
from typing import Any

import pytest

from jupyter_mlx_gpt_oss.app import GptOss
from jupyter_mlx_gpt_oss.engine.base import EngineState
from jupyter_mlx_gpt_oss.errors import ModelLoadError
from tests.support.http_client import HttpClient
from tests.support.scripted_engine import ScriptedEngine

LOAD = "gpt-oss/v1/load"
UNLOAD = "gpt-oss/v1/unload"


@pytest.mark.parametrize("body", [b"", {}, {"model": None}, {"model": "demo"}])
async def test_the_model_is_loaded_and_its_card_is_the_answer(
    http: HttpClient, engine: ScriptedEngine, body: object
) -> None:
    reply = await http.post(LOAD, body)
    assert (reply.status, reply.json["id"], reply.json["context_length"]) == (200, "demo", 4096)
    assert engine.status().state is EngineState.READY


async def test_another_model_is_switched_to(http: HttpClient) -> None:
    card = (await http.post(LOAD, {"model": "mlx-community/gpt-oss-20b"})).json
    assert (card["id"], card["demo"]) == ("mlx-community/gpt-oss-20b", False)
    assert (await http.chat()).json["model"] == "mlx-community/gpt-oss-20b"


@pytest.mark.parametrize("body", [{"model": ""}, {"model": 1}, {"modle": "demo"}, b"{", []])
async def test_a_body_that_names_no_model_is_400(http: HttpClient, body: object) -> None:
    reply = await http.post(LOAD, body)
    assert (reply.status, reply.error["code"]) == (400, "invalid_request_error")


async def test_a_model_that_cannot_be_loaded_is_told(http: HttpClient, engine: ScriptedEngine) -> None:
    engine.load_error = ModelLoadError("No such directory.")
    reply = await http.post(LOAD, {"model": "/nowhere"})
    assert (reply.status, reply.error["code"]) == (500, "model_load_failed")
    health = (await http.get("gpt-oss/health")).json
    assert (health["model"], health["error"]) == (
        "demo",
        "No such directory.",
    )  # the next request loads the demo


async def test_an_unloaded_model_is_loaded_again_by_the_next_request(
    http: HttpClient, engine: ScriptedEngine
) -> None:
    await http.post(LOAD, {"model": "mlx-community/gpt-oss-20b"})
    reply = await http.post(UNLOAD, b"")
    assert (reply.status, reply.json) == (200, {"model": "mlx-community/gpt-oss-20b", "state": "unloaded"})
    assert engine.status().state is EngineState.UNLOADED
    assert (await http.get("gpt-oss/health")).json["model"] == "mlx-community/gpt-oss-20b"
    assert (await http.chat()).json["model"] == "mlx-community/gpt-oss-20b"


async def test_unloading_needs_no_model(http: HttpClient) -> None:
    assert (await http.post(UNLOAD, b"")).json["state"] == "unloaded"


class TestAllowedModels:
    @pytest.fixture(params=[["large"], []])
    def allowed(self, request: pytest.FixtureRequest) -> Any:
        return request.param

    @pytest.fixture
    def gpt_oss_config(self, allowed: list[str]) -> dict[str, Any]:
        return {"GptOssServing": {"allowed_models": allowed}}

    async def test_no_other_model_is_loaded(self, http: HttpClient, engine: ScriptedEngine) -> None:
        reply = await http.post(LOAD, {"model": "/etc"})
        assert (reply.status, reply.error["code"], reply.error["param"]) == (
            403,
            "permission_denied",
            "model",
        )
        assert "GptOssServing.allowed_models" in reply.error["message"]
        assert engine.status().state is EngineState.UNLOADED
        assert (await http.get("gpt-oss/health")).json["model"] == "demo"

    async def test_the_configured_model_and_those_of_the_list_are(
        self, http: HttpClient, allowed: list[str]
    ) -> None:
        for name in (*allowed, "demo"):
            assert (await http.post(LOAD, {"model": name})).json["id"] == name
        assert (await http.post(LOAD, b"")).status == 200

    async def test_where_there_is_nothing_to_choose_nobody_unloads(
        self, http: HttpClient, engine: ScriptedEngine, allowed: list[str]
    ) -> None:
        await http.post(LOAD, b"")
        reply = await http.post(UNLOAD, b"")
        assert reply.status == (200 if allowed else 403)
        assert engine.status().state is (EngineState.UNLOADED if allowed else EngineState.READY)


class TestLongLoad:
    @pytest.fixture
    def gpt_oss_config(self) -> dict[str, Any]:
        return {"GptOssServing": {"keep_alive_seconds": 0.02}}

    async def test_a_client_does_not_wait_and_the_load_goes_on(
        self, http: HttpClient, engine: ScriptedEngine
    ) -> None:
        engine.may_load.clear()
        reply = await http.post(LOAD, {"model": "large"})
        assert (reply.status, reply.json) == (202, {"model": "large", "state": "loading"})
        assert (await http.get("gpt-oss/health")).json["model"] == "large"
        engine.may_load.set()
        reply = await http.post(LOAD, b"")
        assert (reply.status, reply.json["id"]) == (200, "large")

    async def test_after_a_late_failure_the_name_is_the_one_before(
        self, http: HttpClient, engine: ScriptedEngine
    ) -> None:
        engine.may_load.clear()
        for name in ("large", "larger"):
            await http.post(LOAD, {"model": name})
        engine.load_error = ModelLoadError("No such directory.")
        engine.may_load.set()
        await http.post(LOAD, b"")
        assert (await http.get("gpt-oss/health")).json["model"] == "demo"

    async def test_a_late_failure_is_logged(
        self, http: HttpClient, engine: ScriptedEngine, caplog: pytest.LogCaptureFixture
    ) -> None:
        engine.may_load.clear()
        await http.post(LOAD, {"model": "large"})
        engine.load_error = ModelLoadError("No such directory.")
        engine.may_load.set()
        await http.post(LOAD, b"")
        assert "model_load_failed: No such directory." in caplog.text

    async def test_a_stop_ends_a_load(
        self, http: HttpClient, engine: ScriptedEngine, gpt_oss: GptOss
    ) -> None:
        engine.may_load.clear()
        before = asyncio.all_tasks()
        await http.post(LOAD, b"")
        await gpt_oss.stop_extension()
        assert not {task for task in asyncio.all_tasks() - before if "load" in repr(task)}
