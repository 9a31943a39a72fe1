"""Every route, every way in, every kind of server: what happens is the table of docs/security.md, to the cell."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from jupyter_server.auth.identity import User
from jupyter_server.auth.security import passwd
from jupyter_server.serverapp import ServerApp
from tornado.web import RequestHandler, create_signed_value

from jupyter_mlx_gpt_oss.app import GptOss
from jupyter_mlx_gpt_oss.handlers.routes import routes
from tests.support.http_client import HttpClient
from tests.support.identities import HubIdentity

DOCUMENT = Path(__file__).parent.parent.parent / "docs" / "security.md"
_HASHED = passwd("swordfish", "sha1")  # type: ignore[no-untyped-call]
KINDS: dict[str, dict[str, Any]] = {
    "token": {},
    "password": {
        "ServerApp": {"identity_provider_class": "jupyter_server.auth.PasswordIdentityProvider"},
        "PasswordIdentityProvider": {"hashed_password": _HASHED, "token": ""},
    },
    "no authentication": {"ServerApp": {"identity_provider_class": "tests.support.identities.OpenIdentity"}},
    "JupyterHub": {"ServerApp": {"identity_provider_class": "tests.support.identities.HubIdentity"}},
}
_XSRF = "ab" * 16
_OTHER_SITE = "https://other.example"


@dataclass(frozen=True, slots=True)
class Caller:
    """What there is to present on one server."""

    key: str
    token: str
    """Empty where the server has none."""
    cookies: str
    """Of a browser in which somebody is logged in."""


@dataclass(frozen=True, slots=True)
class Presented:
    """What one request brings along."""

    headers: dict[str, str] = field(default_factory=dict)
    token_in_url: str = ""


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


WAYS: dict[str, Callable[[Caller], Presented]] = {
    "nothing": lambda _: Presented(),
    "a wrong key": lambda _: Presented(bearer("sk-gpt-oss-wrong")),
    "the scoped key": lambda caller: Presented(bearer(caller.key)),
    "the scoped key in the URL": lambda caller: Presented(token_in_url=caller.key),
    "the server's or the user's token": lambda caller: Presented(bearer(caller.token)),
    "that token in the URL": lambda caller: Presented(token_in_url=caller.token),
    "a page of this server, logged in": lambda caller: Presented(
        {"Cookie": f"_xsrf={_XSRF}; {caller.cookies}", "X-XSRFToken": _XSRF}
    ),
    "that page, with a wrong key": lambda caller: Presented(
        {"Cookie": f"_xsrf={_XSRF}; {caller.cookies}", "X-XSRFToken": _XSRF, **bearer("sk-gpt-oss-wrong")}
    ),
    "a page of another site, in that browser": lambda caller: Presented(
        {
            "Cookie": f"_xsrf={_XSRF}; {caller.cookies}",
            "Origin": _OTHER_SITE,
            "Referer": f"{_OTHER_SITE}/page",
        }
    ),
    "a page that has this server's address under another name": lambda caller: Presented(
        {"Cookie": f"_xsrf={_XSRF}; {caller.cookies}", "X-XSRFToken": _XSRF, "Host": "other.example"}
    ),
}


def documented() -> dict[tuple[str, str], str]:
    """Return what the page says, by way and kind of server."""
    rows = [
        [cell.strip() for cell in line.strip("|\n ").split("|")]
        for line in DOCUMENT.read_text(encoding="utf-8").splitlines()
        if line.startswith("| ")
    ]
    head = next(row for row in rows if row[1:] == list(KINDS))
    table = rows[rows.index(head) + 1 :][: len(WAYS)]
    return {(row[0], kind): cell for row in table for kind, cell in zip(KINDS, row[1:], strict=True)}


def requests(app: GptOss) -> Iterator[tuple[str, str]]:
    """Yield method and path of whatever the server serves below `gpt-oss/`, and of what it does not."""
    for pattern, handler, _ in routes(app.door):
        path = re.sub(r"\(.*?\)", "anything", pattern.removesuffix("/?").removesuffix("(?:/.*)?")).strip("/")
        served = [
            name
            for name in ("get", "post", "delete")
            if getattr(handler, name) is not getattr(RequestHandler, name)
        ]
        for name in served or ("get", "post", "delete"):
            yield name.upper(), path if served else f"{path}/anything/else"


def verdict(status: int) -> str:
    return str(status) if status in {401, 403} else "in"


@pytest.fixture
def caller(jp_serverapp: ServerApp, gpt_oss: GptOss, jp_http_port: int) -> Caller:
    provider = jp_serverapp.identity_provider
    cookie = create_signed_value(
        jp_serverapp.web_app.settings["cookie_secret"],
        f"username-127-0-0-1-{jp_http_port}",
        provider.user_to_cookie(User("ann")),
    ).decode()
    token = HubIdentity.users_token if isinstance(provider, HubIdentity) else provider.token
    return Caller(gpt_oss.door.api_key, token, f"username-127-0-0-1-{jp_http_port}={cookie}")


@pytest.mark.parametrize(
    ("kind", "gpt_oss_config"), [pytest.param(kind, config, id=kind) for kind, config in KINDS.items()]
)
async def test_every_route_lets_in_whom_the_page_on_security_says(
    http: HttpClient, gpt_oss: GptOss, caller: Caller, kind: str
) -> None:
    expected = documented()
    wrong = []
    for way, present in WAYS.items():
        if not caller.token and "token" in way:
            assert expected[way, kind] == "-"
            continue
        reads, _, writes = expected[way, kind].partition(" / ")
        for method, path in requests(gpt_oss):
            presented = present(caller)
            options: dict[str, Any] = {} if method == "GET" else {"body": b"{}"}
            if presented.token_in_url:
                options["params"] = {"token": presented.token_in_url}
            headers = {"Authorization": "", **presented.headers}
            reply = await http.send(method, path, headers=headers, **options)
            if verdict(reply.status) != (reads if method == "GET" else writes or reads):
                wrong.append(f"{way}: {method} {path}: {reply.status} {reply.text}")
            if reply.status == 401:
                assert reply.error["code"] == "invalid_api_key"
    assert wrong == []


def test_the_page_on_security_has_no_way_that_is_not_tried() -> None:
    assert set(documented()) == {(way, kind) for way in WAYS for kind in KINDS}
