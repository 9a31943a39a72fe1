"""The log of a server: where it goes, what it says of requests, and what it never says."""

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest
from jupyter_server.serverapp import ServerApp

from jupyter_mlx_gpt_oss.app import GptOss
from tests.support.http_client import HttpClient
from tests.support.scripted_engine import ScriptedEngine

SECRET = "the secret question"


async def read(file: Path) -> str:
    return await asyncio.to_thread(file.read_text)


@pytest.fixture
def started(http: HttpClient, jp_serverapp: ServerApp, jp_asyncio_loop: Any) -> HttpClient:
    """A client of a server that was started whole, which pytest-jupyter does not."""
    manager: Any = jp_serverapp.extension_manager
    jp_asyncio_loop.run_until_complete(manager.start_all_extensions())
    return http


@pytest.fixture
def log_file(tmp_path: Path) -> Path:
    return tmp_path / "server.log"


class TestWithAFileAndAccessLines:
    @pytest.fixture
    def gpt_oss_config(self, log_file: Path) -> dict[str, Any]:
        return {
            "GptOss": {"log_file": str(log_file), "http_access_log": True},
            "GptOssServing": {"debug_raw_preview_chars": 1000},
        }

    async def test_each_request_has_a_line_with_its_id(
        self, started: HttpClient, gpt_oss: GptOss, log_file: Path
    ) -> None:
        reply = await started.chat(SECRET)
        await started.get("gpt-oss/nothing", params={"word": "of-somebody"})
        await gpt_oss.stop_extension()
        lines = [line for line in (await read(log_file)).splitlines() if " ms req_" in line]
        answered, missing = lines
        assert "POST /a%40b/gpt-oss/v1/chat/completions 200 " in answered
        assert answered.endswith(reply.response.headers["X-Request-Id"])
        assert "GET /a%40b/gpt-oss/nothing 404 " in missing
        assert "of-somebody" not in missing

    async def test_the_packages_own_lines_are_in_the_file(
        self, started: HttpClient, gpt_oss: GptOss, log_file: Path
    ) -> None:
        del started
        logging.getLogger("jupyter_mlx_gpt_oss.engine").warning("something of the engine's")
        await gpt_oss.stop_extension()
        logging.getLogger("jupyter_mlx_gpt_oss.engine").warning("too late")
        text = await read(log_file)
        assert "something of the engine's" in text
        assert "too late" not in text

    async def test_texts_stand_in_the_log_at_debug_alone(
        self, started: HttpClient, gpt_oss: GptOss, log_file: Path
    ) -> None:
        for level, is_shown in ((logging.INFO, False), (logging.DEBUG, True)):
            gpt_oss.log.setLevel(level)
            await started.chat(SECRET)
            assert (SECRET in await read(log_file)) is is_shown
        await gpt_oss.stop_extension()


class TestWithAFileThatCannotBeWritten:
    @pytest.fixture
    def gpt_oss_config(self, tmp_path: Path) -> dict[str, Any]:
        return {"GptOss": {"log_file": str(tmp_path / "missing" / "server.log")}}

    async def test_the_server_serves_and_says_so(
        self, started: HttpClient, gpt_oss: GptOss, caplog: pytest.LogCaptureFixture
    ) -> None:
        gpt_oss.log.addHandler(caplog.handler)
        gpt_oss._open_log()
        gpt_oss.log.removeHandler(caplog.handler)
        assert "No log can be written" in caplog.text
        assert (await started.get("gpt-oss/health")).status == 200


async def test_without_the_flag_no_request_has_a_line_at_info(
    started: HttpClient, engine: ScriptedEngine, caplog: pytest.LogCaptureFixture
) -> None:
    del engine
    await started.chat(SECRET)
    assert not [record for record in caplog.records if " ms req_" in record.getMessage()]
    assert SECRET not in caplog.text
