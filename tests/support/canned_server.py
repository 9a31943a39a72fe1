"""A real HTTP server that plays canned event streams: the wire, as the kernel's side sees it."""

import json
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

from typing_extensions import override

KEY = "the-key"
KEEP_ALIVE_SECONDS = 0.1
MAX_KEEP_ALIVES = 100
HEALTH = {"status": "ok", "state": "ready", "active_requests": 1, "queued_requests": 2}

# Steps of a script beside text: leave without an ending; hold the stream open until the client goes.
DROP = object()
HOLD = object()

Script = list[Any]


def frame(chunk: dict[str, Any]) -> str:
    return f"data: {json.dumps(chunk)}\n\n"


def delta(finish_reason: str | None = None, **fields: Any) -> str:
    return frame({"choices": [{"index": 0, "delta": fields, "finish_reason": finish_reason}]})


def tool_delta(name: str, *arguments: str, index: int = 0, call_id: str = "call_1") -> str:
    """One call, its arguments in the given pieces."""
    head = {"index": index, "id": call_id, "type": "function", "function": {"name": name, "arguments": ""}}
    pieces = [{"index": index, "function": {"arguments": piece}} for piece in arguments]
    return "".join(delta(tool_calls=[piece]) for piece in [head, *pieces])


def progress(**fields: Any) -> str:
    return f": gpt-oss {json.dumps(fields)}\n\n"


def ending(
    finish_reason: str = "stop", prompt_tokens: int = 20, cached_tokens: int = 8, completion_tokens: int = 12
) -> str:
    usage = {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "prompt_tokens_details": {"cached_tokens": cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": 5},
    }
    return delta(finish_reason) + frame({"choices": [], "usage": usage}) + "data: [DONE]\n\n"


def answer(text: str, reasoning: str = "") -> Script:
    thought = [delta(reasoning=reasoning, reasoning_content=reasoning)] if reasoning else []
    return [*thought, delta(content=text), ending()]


def calls_weather(city: str = "Kyoto") -> Script:
    return [tool_delta("get_weather", json.dumps({"city": city})), ending("tool_calls")]


@dataclass
class CannedServer:
    """Plays one script for each chat request, in order, and keeps what it was asked."""

    http_server: ThreadingHTTPServer
    scripts: deque[Script | tuple[int, dict[str, Any]]] = field(default_factory=deque)
    requests: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    card: dict[str, Any] = field(
        default_factory=lambda: {"id": "canned", "demo": False, "context_length": 4096}
    )
    other_cards: list[dict[str, Any]] = field(default_factory=list)
    """Of a server that has several models, those behind the first."""
    client_gone: threading.Event = field(default_factory=threading.Event)
    loaded: list[str | None] = field(default_factory=list)
    health: deque[dict[str, Any]] = field(default_factory=deque)
    """What /health says, one after the other; the last one stays."""
    may_load: threading.Event = field(default_factory=threading.Event)
    """Cleared by a test whose server takes long to answer that it loads."""

    odd_answer: dict[str, Any] | None = None
    """What a server that is not ours answers to all of our own routes, with status 200."""

    def __post_init__(self) -> None:
        self.may_load.set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http_server.server_port}/user/ada/gpt-oss/v1"

    def play(self, *scripts: Script) -> None:
        self.scripts.extend(scripts)

    def refuse(self, status: int, body: dict[str, Any]) -> None:
        self.scripts.append((status, body))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    @property
    def canned(self) -> CannedServer:
        return cast("CannedServer", vars(self.server)["canned"])

    def do_GET(self) -> None:
        if self.headers["Authorization"] != f"Bearer {KEY}":
            self._send_json(401, {"error": {"message": "Incorrect API key.", "code": "invalid_api_key"}})
        elif self.path.endswith("/gpt-oss/v1/models"):
            self._send_json(200, {"object": "list", "data": [self.canned.card, *self.canned.other_cards]})
        elif self.canned.odd_answer is not None:
            self._send_json(200, self.canned.odd_answer)
        elif self.path.endswith("/gpt-oss/health"):
            health = self.canned.health
            self._send_json(200, HEALTH | (health.popleft() if len(health) > 1 else (health or [{}])[0]))
        else:
            self._send_json(404, {"message": "Not Found"})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.canned.odd_answer is not None:
            self._send_json(200, self.canned.odd_answer)
            return
        if self.path.endswith(("/v1/load", "/v1/unload")):
            self.canned.loaded.append(json.loads(body).get("model"))
            self.canned.may_load.wait()
            is_load = self.path.endswith("/load")
            self._send_json(202 if is_load else 200, {"state": "loading" if is_load else "unloaded"})
            return
        self.canned.requests.append(json.loads(body))
        self.canned.headers.append(dict(self.headers))
        script = self.canned.scripts.popleft()
        if isinstance(script, tuple):
            self._send_json(*script)
            return
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        for step in script:
            if step is DROP:
                break
            if step is HOLD:
                self._hold()
                break
            self.wfile.write(step.encode())
            self.wfile.flush()
        self.close_connection = True

    def _hold(self) -> None:
        """Send nothing but keep-alives until the client has gone."""
        self.connection.settimeout(KEEP_ALIVE_SECONDS)
        for _ in range(MAX_KEEP_ALIVES):
            try:
                self.wfile.write(b": keep-alive\n\n")
                is_gone = self.connection.recv(1) == b""
            except TimeoutError:
                continue
            except ConnectionError:
                is_gone = True
            if is_gone:
                self.canned.client_gone.set()
                return

    def _send_json(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    @override
    def log_message(self, format: str, *args: Any) -> None:
        """Keep the test's output clean."""


@contextmanager
def canned_server() -> Iterator[CannedServer]:
    http_server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    canned = CannedServer(http_server)
    vars(http_server)["canned"] = canned
    thread = threading.Thread(target=http_server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield canned
    finally:
        http_server.shutdown()
        thread.join()
        http_server.server_close()
