"""What a test says to the server, in few words."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from tornado.httpclient import HTTPResponse

Fetch = Callable[..., Awaitable[HTTPResponse]]


@dataclass(frozen=True, slots=True)
class Reply:
    """A status, headers and a body, whatever the status."""

    response: HTTPResponse

    @property
    def status(self) -> int:
        return self.response.code

    @property
    def text(self) -> str:
        return self.response.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.response.body)

    @property
    def error(self) -> dict[str, Any]:
        """The error, whose shape is checked on the way."""
        body = self.json
        assert set(body) == {"error"}
        assert set(body["error"]) == {"message", "type", "param", "code"}
        error: dict[str, Any] = body["error"]
        return error

    @property
    def frames(self) -> list[Any]:
        """The data of a stream's frames; `[DONE]` as it stands."""
        lines = [line.removeprefix("data: ") for line in self.text.splitlines() if line.startswith("data: ")]
        return [line if line == "[DONE]" else json.loads(line) for line in lines]


@dataclass(frozen=True, slots=True)
class HttpClient:
    """Speaks to `gpt-oss/` with the server's token, unless headers say otherwise."""

    fetch: Fetch

    async def get(self, path: str, **options: Any) -> Reply:
        return await self.send("GET", path, **options)

    async def post(self, path: str, body: object, **options: Any) -> Reply:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self.send("POST", path, body=data, **options)

    async def chat(self, text: str = "Hi", **fields: Any) -> Reply:
        body = {"model": "any", "messages": [{"role": "user", "content": text}], **fields}
        return await self.post("gpt-oss/v1/chat/completions", body)

    async def send(self, method: str, path: str, **options: Any) -> Reply:
        return Reply(
            await self.fetch(
                path, method=method, raise_error=False, allow_nonstandard_methods=True, **options
            )
        )
