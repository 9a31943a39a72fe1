"""The worker's end of the socket."""

import socket
from collections.abc import Iterator

import pytest

from jupyter_mlx_gpt_oss.engine.frames import Abort, encode
from jupyter_mlx_gpt_oss.worker.command_inbox import CommandInbox


@pytest.fixture
def inbox() -> Iterator[tuple[CommandInbox, socket.socket]]:
    server, worker = socket.socketpair()
    with server, worker:
        yield CommandInbox(worker), server


def test_commands_come_in_order(inbox: tuple[CommandInbox, socket.socket]) -> None:
    commands, server = inbox
    server.sendall(encode(Abort("a")) + encode(Abort("b")))
    assert [commands.get(wait_seconds=None) for _ in range(2)] == [Abort("a"), Abort("b")]
    assert commands.get(wait_seconds=0) is None
    assert commands.get(wait_seconds=0.01) is None


@pytest.mark.parametrize("last", [b"", b"no frame\n", b'{"type": "abor'])
def test_a_server_that_is_gone_or_broken_is_the_end(
    inbox: tuple[CommandInbox, socket.socket], last: bytes
) -> None:
    commands, server = inbox
    server.sendall(last)
    server.close()
    with pytest.raises(EOFError):
        commands.get(wait_seconds=None)
