from collections.abc import Iterator

import pytest

from jupyter_mlx_gpt_oss.client.client import Client
from jupyter_mlx_gpt_oss.client.connection import Connection
from tests.support.canned_server import KEY, CannedServer, canned_server


@pytest.fixture
def server() -> Iterator[CannedServer]:
    with canned_server() as canned:
        yield canned


@pytest.fixture
def client(server: CannedServer) -> Client:
    return Client(Connection(server.url, KEY))
