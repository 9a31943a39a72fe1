"""The processes that share one model: rank 0 decides, the others follow.

Every rank runs the same loop over the same commands, and each holds its part of every layer. Whatever could differ between
them (a command, the time, free memory, a drawn token) is rank 0's, and the others read it here, in order. A rank that
ends ends all: the engine starts them anew.
Source: mlx's `mlx.launch`, whose environment is read here; mlx-lm's gpt_oss `shard`.
"""

import json
import logging
import os
import queue
import secrets
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, TypeVar

import mlx.core as mx
import msgspec

_log = logging.getLogger(__name__)
_SECRET_BYTES = 16
_JOIN_SECONDS = 60.0
T = TypeVar("T")


class Ranks(Protocol):
    """The ranks as one of them sees them."""

    @property
    def size(self) -> int:
        """How many there are."""
        ...

    @property
    def is_leader(self) -> bool:
        """Whether this one decides."""
        ...

    @property
    def group(self) -> Any:
        """MLX's group of them; None: there is one."""
        ...

    def share(self, make: Callable[[], T], kind: Any) -> T:
        """Return what rank 0 makes of something; the others call nothing, and wait for it.

        Args:
            make: called on rank 0 alone.
            kind: the type of what it makes, as msgspec takes it.
        """
        ...

    def clock(self) -> float:
        """Return rank 0's time in seconds, which only grows."""
        ...


class Alone:
    """The usual case: one process."""

    size = 1
    is_leader = True
    group = None

    @staticmethod
    def share(make: Callable[[], T], kind: Any) -> T:
        """Return what is made."""
        del kind
        return make()

    @staticmethod
    def clock() -> float:
        """Return the time."""
        return time.perf_counter()


ALONE = Alone()


class Leader:
    """Rank 0.

    Args:
        group: MLX's.
        followers: a connection to each other rank.
    """

    is_leader = True

    def __init__(self, group: Any, followers: list[socket.socket]) -> None:
        self.group = group
        self.size = len(followers) + 1
        self._followers = followers
        for follower in followers:
            threading.Thread(target=_end_with, args=(follower,), name="gpt-oss rank", daemon=True).start()

    def share(self, make: Callable[[], T], kind: Any) -> T:
        """Make something, and tell the others. See `Ranks.share`."""
        del kind
        made = make()
        line = msgspec.json.encode(made) + b"\n"
        for follower in self._followers:
            follower.sendall(line)
        return made

    def clock(self) -> float:
        """Return the time here."""
        return self.share(time.perf_counter, float)


class Follower:
    """Any other rank.

    Args:
        group: MLX's.
        leader: the connection to rank 0.
    """

    is_leader = False

    def __init__(self, group: Any, leader: socket.socket) -> None:
        self.group = group
        self.size: int = group.size()
        self._lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        threading.Thread(target=self._read, args=(leader,), name="gpt-oss rank", daemon=True).start()

    def share(self, make: Callable[[], T], kind: Any) -> T:
        """Return what rank 0 made. See `Ranks.share`."""
        del make
        shared: T = msgspec.json.decode(self._lines.get(), type=kind)
        return shared

    def clock(self) -> float:
        """Return the time at rank 0."""
        return self.share(time.perf_counter, float)

    def _read(self, leader: socket.socket) -> None:
        with suppress(OSError), leader.makefile("rb") as lines:  # a lost machine resets its connections
            for line in lines:
                self._lines.put(line)
        os._exit(0)  # rank 0 has gone, and this rank's main thread may wait for it within MLX


def join_ranks() -> Ranks:
    """Join the others that `mlx.launch` has started; without it there are none.

    Raises:
        RuntimeError: MLX cannot reach them.
        OSError: rank 0 cannot be reached.
    """
    if "MLX_RANK" not in os.environ:
        return Alone()
    is_ring = "MLX_HOSTFILE" in os.environ
    group = mx.distributed.init(strict=True, backend="ring" if is_ring else "jaccl")
    address = _leader_address()
    if group.rank() == 0:
        return _lead(group, address)
    port, secret = _agree(group, b"")
    connection = socket.create_connection((address, port), timeout=_JOIN_SECONDS)
    connection.sendall(secret)
    connection.settimeout(None)
    return Follower(group, connection)


def _lead(group: Any, address: str) -> Ranks:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, 0), family=family) as listener:
        listener.settimeout(_JOIN_SECONDS)
        secret = secrets.token_bytes(_SECRET_BYTES)
        _agree(group, listener.getsockname()[1].to_bytes(2, "big") + secret)
        followers: list[socket.socket] = []
        while len(followers) < group.size() - 1:
            connection, _ = listener.accept()
            connection.settimeout(_JOIN_SECONDS)
            if secrets.compare_digest(connection.recv(_SECRET_BYTES, socket.MSG_WAITALL), secret):
                connection.settimeout(None)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                followers.append(connection)
            else:
                connection.close()  # a stranger
    return Leader(group, followers)


def _agree(group: Any, told: bytes) -> tuple[int, bytes]:
    """Return the port and the secret that rank 0 tells."""
    own = list(told.ljust(_SECRET_BYTES + 2, b"\0"))
    summed = mx.distributed.all_sum(mx.array(own, dtype=mx.int32), group=group, stream=mx.cpu)
    mx.eval(summed)
    agreed = bytes(int(each) for each in summed.tolist())  # type: ignore[union-attr, arg-type]
    return int.from_bytes(agreed[:2], "big"), agreed[2:]


def _leader_address() -> str:
    """Return the IP address at which rank 0 is reached, as `mlx.launch` was told."""
    if coordinator := os.environ.get("MLX_JACCL_COORDINATOR"):
        return coordinator.rpartition(":")[0].strip("[]")
    hosts = json.loads(Path(os.environ["MLX_HOSTFILE"]).read_text(encoding="utf-8"))
    first: str = hosts[0][0]
    return first.rpartition(":")[0].strip("[]")


def _end_with(follower: socket.socket) -> None:
    """End this process when another rank has ended: the main thread may wait for it within MLX."""
    with suppress(OSError):  # a lost machine resets its connections
        follower.recv(1)  # it never sends anything
    _log.error("another rank has ended, and so this one does")
    os._exit(1)
