"""What is too large is refused before it is read; what a stranger sends is not read at all."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from jupyter_server.serverapp import ServerApp

from jupyter_mlx_gpt_oss.app import GptOss
from tests.support.http_client import HttpClient

CHAT = "gpt-oss/v1/chat/completions"


@pytest.fixture
def gpt_oss_config() -> dict[str, Any]:
    return {"GptOssServing": {"max_body_bytes": 1000}}


class Wire:
    """A connection on which a request can stay unfinished."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str) -> None:
        self._reader, self._writer, self._path = reader, writer, path

    async def begin(self, *headers: str) -> None:
        lines = [f"POST {self._path} HTTP/1.1", "Host: 127.0.0.1", *headers, "", ""]
        await self.send("\r\n".join(lines).encode())

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    async def answer(self) -> tuple[int, dict[str, Any]]:
        head = await asyncio.wait_for(self._reader.readuntil(b"\r\n\r\n"), 10)
        status, *lines = head.decode().splitlines()
        headers = dict(line.lower().split(": ", 1) for line in lines if line)
        body = await self._reader.readexactly(int(headers["content-length"]))
        error: dict[str, Any] = json.loads(body)["error"]
        return int(status.split()[1]), error

    async def has_ended(self) -> bool:
        return await asyncio.wait_for(self._reader.read(1), 10) == b""


@asynccontextmanager
async def wire(server: ServerApp, port: int) -> AsyncIterator[Wire]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield Wire(reader, writer, f"{server.base_url}{CHAT}")
    finally:
        writer.close()
        await writer.wait_closed()


@pytest.fixture
def key(gpt_oss: GptOss, http: HttpClient) -> str:
    del http  # with which the server listens
    return f"Authorization: Bearer {gpt_oss.door.api_key}"


async def test_a_body_that_says_it_is_too_large_is_refused_before_it_is_sent(
    jp_serverapp: ServerApp, jp_http_port: int, key: str
) -> None:
    async with wire(jp_serverapp, jp_http_port) as connection:
        await connection.begin(key, "Content-Length: 1001")
        status, error = await connection.answer()
    assert (status, error["code"]) == (413, "request_too_large")
    assert "1001 bytes; at most 1000" in error["message"]


async def test_a_body_that_does_not_say_its_size_is_refused_at_its_end(
    jp_serverapp: ServerApp, jp_http_port: int, key: str
) -> None:
    async with wire(jp_serverapp, jp_http_port) as connection:
        await connection.begin(key, "Transfer-Encoding: chunked")
        for _ in range(300):
            await connection.send(b"a\r\n" + b"x" * 10 + b"\r\n")
        await connection.send(b"0\r\n\r\n")
        status, error = await connection.answer()
    assert (status, error["code"]) == (413, "request_too_large")
    assert "3000 bytes" in error["message"]


async def test_a_body_in_pieces_is_put_together(jp_serverapp: ServerApp, jp_http_port: int, key: str) -> None:
    async with wire(jp_serverapp, jp_http_port) as connection:
        await connection.begin(key, "Transfer-Encoding: chunked")
        for piece in (b'{"mess', b'ages": 5}'):
            await connection.send(b"%x\r\n%s\r\n" % (len(piece), piece))
        await connection.send(b"0\r\n\r\n")
        status, error = await connection.answer()
    assert (status, error["param"]) == (400, "messages")


@pytest.mark.parametrize("headers", [[], ["Authorization: Bearer wrong"]])
async def test_a_stranger_is_refused_before_a_byte_of_the_body_is_sent(
    jp_serverapp: ServerApp, jp_http_port: int, key: str, headers: list[str]
) -> None:
    del key
    async with wire(jp_serverapp, jp_http_port) as connection:
        await connection.begin(*headers, "Content-Length: 900")
        status, error = await connection.answer()
    assert (status, error["code"]) == (401, "invalid_api_key")


async def test_a_client_that_goes_within_its_body_leaves_nothing(
    jp_serverapp: ServerApp, jp_http_port: int, gpt_oss: GptOss, key: str, http: HttpClient
) -> None:
    async with wire(jp_serverapp, jp_http_port) as connection:
        await connection.begin(key, "Content-Length: 900")
        await connection.send(b'{"messages":')
    assert (await http.get("gpt-oss/health")).status == 200
    assert len(gpt_oss.door.open_requests) == 0


async def test_a_client_that_sends_all_the_same_gets_its_answer_and_may_ask_again(
    jp_serverapp: ServerApp, jp_http_port: int, key: str
) -> None:
    async with wire(jp_serverapp, jp_http_port) as connection:
        await connection.begin(key, "Content-Length: 5000000")
        await connection.send(b"x" * 5_000_000)
        assert (await connection.answer())[0] == 413
        await connection.begin(key, "Content-Length: 2")
        await connection.send(b"{}")
        assert (await connection.answer())[0] == 400


async def test_a_client_that_asks_before_it_sends_is_told_not_to(
    jp_serverapp: ServerApp, jp_http_port: int, key: str
) -> None:
    async with wire(jp_serverapp, jp_http_port) as connection:
        await connection.begin(key, "Content-Length: 5000000", "Expect: 100-continue")
        assert (await connection.answer())[0] == 413
        assert await connection.has_ended()


async def test_a_refused_client_that_neither_sends_nor_goes_does_not_hold_up_a_stop(
    jp_serverapp: ServerApp, jp_http_port: int, key: str, gpt_oss: GptOss
) -> None:
    async with wire(jp_serverapp, jp_http_port) as connection:
        await connection.begin(key, "Content-Length: 5000000")
        assert (await connection.answer())[0] == 413
        await gpt_oss.stop_extension()
        assert len(gpt_oss.door.open_requests) == 0
        assert await connection.has_ended()


async def test_a_refused_client_that_goes_leaves_nothing(
    jp_serverapp: ServerApp, jp_http_port: int, key: str, gpt_oss: GptOss
) -> None:
    async with wire(jp_serverapp, jp_http_port) as connection:
        await connection.begin(key, "Content-Length: 5000000")
        assert (await connection.answer())[0] == 413
        assert len(gpt_oss.door.open_requests) == 1
    await asyncio.wait_for(gpt_oss.door.open_requests.all_answered(), 10)
