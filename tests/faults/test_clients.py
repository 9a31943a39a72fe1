"""What clients do: go at any moment, stop reading, restart their kernel. Their requests end, and nobody else's."""

import asyncio
import json
import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from jupyter_client.manager import AsyncKernelManager
from jupyter_server.serverapp import ServerApp

from jupyter_mlx_gpt_oss.app import KEY_VARIABLE, URL_VARIABLE, GptOss
from jupyter_mlx_gpt_oss.engine.request import Progress, ProgressStage
from tests.support.http_client import HttpClient
from tests.support.scripted_engine import ScriptedEngine

BODY = json.dumps({"messages": [{"role": "user", "content": "Hi"}], "stream": True}).encode()


@pytest.fixture
def connection(
    jp_serverapp: ServerApp, gpt_oss: GptOss, http: HttpClient, jp_http_port: int, jp_asyncio_loop: Any
) -> Iterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A client that has asked for a stream, and can hold little that it does not read."""
    del http  # with which the server listens
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(("127.0.0.1", jp_http_port))
    reader, writer = jp_asyncio_loop.run_until_complete(asyncio.open_connection(sock=client, limit=4096))
    lines = [
        f"POST {jp_serverapp.base_url}gpt-oss/v1/chat/completions HTTP/1.1",
        "Host: 127.0.0.1",
        f"Authorization: Bearer {gpt_oss.door.api_key}",
        f"Content-Length: {len(BODY)}",
    ]
    writer.write("\r\n".join([*lines, "", ""]).encode() + BODY)
    yield reader, writer
    writer.close()


async def until_nothing_is_open(gpt_oss: GptOss) -> None:
    await asyncio.wait_for(gpt_oss.door.open_requests.all_answered(), 20)


class TestAClientThatGoes:
    async def test_before_its_model_is_loaded(
        self, engine: ScriptedEngine, gpt_oss: GptOss, connection: Any
    ) -> None:
        engine.may_load.clear()
        await engine.beginnings.get()
        connection[1].close()
        assert await engine.endings.get() == "closed"
        await until_nothing_is_open(gpt_oss)

    async def test_while_it_waits_its_turn(
        self, engine: ScriptedEngine, gpt_oss: GptOss, connection: Any
    ) -> None:
        engine.enqueue(Progress(stage=ProgressStage.QUEUED, done=3), asyncio.Event())
        await connection[0].readuntil(b"queued")
        connection[1].close()
        assert await engine.endings.get() == "closed"
        await until_nothing_is_open(gpt_oss)

    async def test_while_it_is_answered(
        self, engine: ScriptedEngine, gpt_oss: GptOss, connection: Any
    ) -> None:
        engine.enqueue("<|channel|>final<|message|>Hello", asyncio.Event())
        await connection[0].readuntil(b"Hello")
        connection[1].close()
        assert await engine.endings.get() == "closed"
        await until_nothing_is_open(gpt_oss)

    async def test_after_its_answer(
        self, http: HttpClient, engine: ScriptedEngine, gpt_oss: GptOss, connection: Any
    ) -> None:
        await connection[0].readuntil(b"[DONE]")
        connection[1].close()
        assert await engine.endings.get() == "stop"
        await until_nothing_is_open(gpt_oss)
        assert (await http.chat()).status == 200


class TestAClientThatDoesNotRead:
    async def test_gets_all_of_its_answer_in_the_end_and_holds_up_nobody(
        self, http: HttpClient, engine: ScriptedEngine, gpt_oss: GptOss, connection: Any
    ) -> None:
        num_words = 20_000  # about 5 MB of frames: more than the sockets hold
        engine.enqueue(f"<|channel|>final<|message|>{' wave' * num_words}<|return|>")
        engine.context_length = 100_000
        await engine.beginnings.get()
        assert (await http.chat()).status == 200
        assert len(gpt_oss.door.open_requests) == 1
        reader = connection[0]
        num_read = 0
        while b"[DONE]" not in (piece := await asyncio.wait_for(reader.read(1 << 16), 20)):
            num_read += piece.count(b'" wave"')
        assert num_read > 0.99 * num_words  # a frame may be cut by where a piece ends
        await until_nothing_is_open(gpt_oss)

    async def test_goes_and_leaves_nothing(
        self, engine: ScriptedEngine, gpt_oss: GptOss, connection: Any
    ) -> None:
        engine.enqueue(f"<|channel|>final<|message|>{' wave' * 20_000}<|return|>")
        engine.context_length = 100_000
        await engine.beginnings.get()
        connection[1].close()
        await until_nothing_is_open(gpt_oss)


CELL = "%load_ext jupyter_mlx_gpt_oss\nget_ipython().run_cell_magic('oss', '', 'Hi')"


async def test_a_kernel_that_is_restarted_within_a_cell_ends_the_cells_request(
    jp_serverapp: ServerApp, http: HttpClient, engine: ScriptedEngine, gpt_oss: GptOss, jp_http_port: int
) -> None:
    engine.enqueue("<|channel|>final<|message|>Hello", asyncio.Event())
    url = f"http://127.0.0.1:{jp_http_port}{jp_serverapp.base_url}gpt-oss/v1"
    manager = AsyncKernelManager()
    await manager.start_kernel(env={**os.environ, URL_VARIABLE: url, KEY_VARIABLE: gpt_oss.door.api_key})
    try:
        client = manager.client()
        client.start_channels()
        await client.wait_for_ready(timeout=60)
        client.execute(CELL)
        await asyncio.wait_for(engine.beginnings.get(), 60)
        await manager.restart_kernel(now=True)
        assert await asyncio.wait_for(engine.endings.get(), 20) == "closed"
        await until_nothing_is_open(gpt_oss)
        client.stop_channels()
    finally:
        await manager.shutdown_kernel(now=True)
        manager.context.destroy()
    assert (await http.chat()).status == 200
