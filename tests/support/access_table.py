"""Turn a running server into a table of statuses: each request that it could be sent, by each way in."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
from tornado.web import RequestHandler

from jupyter_mlx_gpt_oss.handlers.routes import Route

XSRF = "ab" * 16
_OTHER_SITE = "https://other.example"
_MESSAGES = [{"role": "user", "content": "Hi"}]
_BODIES: Mapping[str, dict[str, Any]] = {
    "v1/chat/completions": {"messages": _MESSAGES},
    "v1/completions": {"prompt": "Hi"},
    "v1/detokenize": {"tokens": [1]},
    "v1/responses": {"input": "Hi"},
    "v1/tokenize": {"prompt": "Hi"},
}
_ANY_METHOD = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
PREFLIGHT = "preflight"


@dataclass(frozen=True, slots=True)
class Caller:
    """What there is to present on one server."""

    key: str
    token: str
    """Empty where the server has none."""
    cookies: str
    """Of a browser in which somebody is logged in; empty where nobody can be."""


@dataclass(frozen=True, slots=True)
class Presented:
    """What one request brings along."""

    headers: dict[str, str] = field(default_factory=dict)
    token_in_url: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, whoever sends it."""

    method: str
    path: str
    body: dict[str, Any] = field(default_factory=dict)
    accept: str = "*/*"

    @property
    def is_ours(self) -> bool:
        """Whether this package answers it."""
        return not self.path.startswith("api/")

    @property
    def name(self) -> str:
        """As it stands in the table."""
        return f"`{self.method} {self.path}`" + (" in a browser" if self.accept == "text/html" else "")


def _bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def _page(caller: Caller, **headers: str) -> Presented:
    return Presented({"Cookie": f"_xsrf={XSRF}; {caller.cookies}", "X-XSRFToken": XSRF, **headers})


WAYS: Mapping[str, Callable[[Caller], Presented]] = {
    "nothing": lambda _: Presented(),
    "a wrong key": lambda _: Presented(_bearer("sk-gpt-oss-wrong")),
    "the scoped key": lambda caller: Presented(_bearer(caller.key)),
    "the scoped key in the URL": lambda caller: Presented(token_in_url=caller.key),
    "the server's or the user's token": lambda caller: Presented(_bearer(caller.token)),
    "that token in the URL": lambda caller: Presented(token_in_url=caller.token),
    "a page of this server, logged in": _page,
    "that page, with a wrong key": lambda caller: _page(caller, **_bearer("sk-gpt-oss-wrong")),
    "a page of another site, in that browser": lambda caller: Presented(
        {
            "Cookie": f"_xsrf={XSRF}; {caller.cookies}",
            "Origin": _OTHER_SITE,
            "Referer": f"{_OTHER_SITE}/page",
        }
    ),
    "a page that has this server's address under another name": lambda caller: _page(
        caller, Host="other.example"
    ),
}


def requests(routes: list[Route]) -> Iterator[Asked]:
    """Yield whatever the server serves by these routes and what it does not, and some of Jupyter's own routes."""
    for pattern, handler, _ in routes:
        path = pattern.removesuffix("/?").removesuffix("(?:/.*)?").replace("\\", "").strip("/")
        path = re.sub(r"\(.*?\)", "demo", path)
        body = _BODIES.get(path.removeprefix("gpt-oss/"), {})
        served = [
            name
            for name in ("get", "post", "delete")
            if getattr(handler, name) is not getattr(RequestHandler, name)
        ]
        for name in served:
            yield Asked(name.upper(), path, body)
        if path == "gpt-oss" and served:
            yield Asked("GET", path, accept="text/html")
        elif not served:
            yield from (Asked(method, f"{path}/anything/else") for method in _ANY_METHOD)
    yield from (Asked("GET", f"api/{name}") for name in ("contents", "kernels", "me"))


def ways_of(caller: Caller) -> list[str]:
    """Return the ways that a caller has."""
    return [
        way
        for way, present in WAYS.items()
        if (caller.token or "token" not in way)
        and (caller.cookies or "Cookie" not in present(caller).headers)
    ]


async def statuses(http: httpx.AsyncClient, caller: Caller, asked: Asked) -> dict[str, str]:
    """Send a request by every way, and ask as a page of another site whether that may; return what came, by way."""
    cells = {}
    for way in ways_of(caller):
        presented = WAYS[way](caller)
        response = await _send(http, asked.method, asked, presented)
        if asked.is_ours and response.status_code == httpx.codes.UNAUTHORIZED and asked.method != "HEAD":
            assert response.json()["error"]["code"] == "invalid_api_key"
            assert set(response.json()) == {"error"}
        cells[way] = str(response.status_code)
        preflight = await _send(http, "OPTIONS", asked, presented)
        assert not preflight.content or preflight.status_code == httpx.codes.FORBIDDEN, (way, asked)
    headers = {"Origin": _OTHER_SITE, "Access-Control-Request-Method": asked.method}
    response = await _send(http, "OPTIONS", asked, Presented(headers))
    is_allowed = response.headers.get("Access-Control-Allow-Origin") in {_OTHER_SITE, "*"}
    return {**cells, PREFLIGHT: f"{response.status_code} {'yes' if is_allowed else 'no'}"}


async def _send(http: httpx.AsyncClient, method: str, asked: Asked, presented: Presented) -> httpx.Response:
    http.cookies.clear()
    return await http.request(
        method,
        asked.path,
        json=asked.body if method in {"POST", "PUT", "PATCH"} else None,
        params={"token": presented.token_in_url} if presented.token_in_url else None,
        headers={"Accept": asked.accept, **presented.headers},
    )
