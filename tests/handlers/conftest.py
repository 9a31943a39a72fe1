"""OpenAI's own client, for the tests of the routes."""

from collections.abc import Iterator
from typing import Any

import pytest
from jupyter_server.serverapp import ServerApp
from openai import AsyncOpenAI

from jupyter_mlx_gpt_oss.app import GptOss
from tests.support.http_client import HttpClient


@pytest.fixture
def openai(
    jp_serverapp: ServerApp, gpt_oss: GptOss, http: HttpClient, jp_http_port: int, jp_asyncio_loop: Any
) -> Iterator[AsyncOpenAI]:
    """A client with the scoped key."""
    del http  # with which the server listens
    base_url = f"http://127.0.0.1:{jp_http_port}{jp_serverapp.base_url}gpt-oss/v1"
    client = AsyncOpenAI(base_url=base_url, api_key=gpt_oss.door.api_key, max_retries=0)
    yield client
    jp_asyncio_loop.run_until_complete(client.close())
