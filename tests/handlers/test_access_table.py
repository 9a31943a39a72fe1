"""Every route, every way in, every kind of server: what happens is docs/access-table.md, and docs/security.md, to the cell.

    UPDATE_TABLES=1 python -m pytest -n0 tests/handlers/test_access_table.py

writes docs/access-table.md anew; what has changed in it is then to be looked at.
"""

import asyncio
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from jupyter_server.auth.identity import User
from jupyter_server.auth.security import passwd
from jupyter_server.serverapp import ServerApp
from tornado.web import create_signed_value
from typing_extensions import override

from jupyter_mlx_gpt_oss.app import GptOss
from jupyter_mlx_gpt_oss.handlers.base import Door
from jupyter_mlx_gpt_oss.handlers.hub_identity import GptOssAuthorizer, HubIdentityProvider
from jupyter_mlx_gpt_oss.handlers.routes import routes
from tests.support.access_table import PREFLIGHT, WAYS, Asked, Caller, requests, statuses, ways_of
from tests.support.http_client import HttpClient
from tests.support.identities import HubIdentity
from tests.support.jupyter_hub import SERVICE_TOKEN, jupyter_hub
from tests.support.jupyter_process import TOKEN, JupyterProcess, jupyter_process

ROOT = Path(__file__).parents[2]
SECURITY, TABLE = ROOT / "docs" / "security.md", ROOT / "docs" / "access-table.md"
ENGINE = "--GptOss.engine_class=tests.support.scripted_engine.ScriptedEngine"
INTRODUCTION = """# Who gets what

Every route, by every way in, on every kind of server: the status that a test got (tests/handlers/test_access_table.py), which
fails when one is another. `UPDATE_TABLES=1` has it write this page. [security.md](security.md) says what the ways are, and why
it is so.

Whoever is let in gets 200 here, or 404 for what is not there (`demo` is a model, and no response); 401, 403 and 302, to log in,
are refusals; "-": there is no such way. A JupyterHub's server takes a token from a URL only where JUPYTERHUB_ALLOW_TOKEN_IN_URL
is set, as here. A page of an allowed origin reads answers to requests with cookies only where
`ServerApp.allow_credentials` is set. A preflight is a browser's question whether a page of `https://other.example` may
send the request; it goes on if the answer says yes. A request with OPTIONS gets no content by any way. The `api/` routes are
Jupyter's own, which the scoped key must not open.
"""
REFUSALS = {"302", "401", "403"}
HASHED = passwd("swordfish", "sha1")  # type: ignore[no-untyped-call]


class KnownHub(HubIdentityProvider):
    """Knows one user's token without asking."""

    @override
    async def _ask(self, token: str) -> User | None:
        return User("user ann", "ann") if token == HubIdentity.users_token else None


SUMMARISED: Mapping[str, dict[str, Any]] = {
    "token": {},
    "password": {
        "ServerApp": {"identity_provider_class": "jupyter_server.auth.PasswordIdentityProvider"},
        "PasswordIdentityProvider": {"hashed_password": HASHED, "token": ""},
    },
    "no authentication": {"ServerApp": {"identity_provider_class": "tests.support.identities.OpenIdentity"}},
    "JupyterHub": {"ServerApp": {"identity_provider_class": "tests.support.identities.HubIdentity"}},
}
HEADLESS, SERVICE = "headless command", "service of a JupyterHub"
OPEN_TO_OTHERS = "no authentication, and other machines reach it"
KINDS: Mapping[str, dict[str, Any]] = {
    **SUMMARISED,
    OPEN_TO_OTHERS: {
        "ServerApp": {"identity_provider_class": "tests.support.identities.OpenIdentity", "ip": "0.0.0.0"},
    },
    "token, pages of the other site allowed": {"ServerApp": {"allow_origin": "https://other.example"}},
    HEADLESS: {},
    SERVICE: {"ServerApp": {"identity_provider_class": KnownHub, "authorizer_class": GptOssAuthorizer}},
}
Cells = Mapping[str, Mapping[str, str]]
"""By request, by way."""


def table_of(kind: str, cells: Cells) -> str:
    """Return a section of docs/access-table.md."""
    columns = [*WAYS, PREFLIGHT]
    rows = [["", *columns], ["---"] * (len(columns) + 1)]
    rows += [[name, *(row.get(way, "-") for way in columns)] for name, row in cells.items()]
    return f"## {kind}\n\n" + "".join(f"| {' | '.join(row)} |\n" for row in rows)


def documented_tables() -> dict[str, str]:
    """Return the sections of docs/access-table.md, by kind of server."""
    text = TABLE.read_text(encoding="utf-8") if TABLE.is_file() else ""
    return dict(re.findall(r"^(?=## (.+)\n)((?:.*\n)+?)(?=\n## |\Z)", text, flags=re.MULTILINE))


def documented_cells(kind: str) -> dict[str, dict[str, str]]:
    """Return the cells of a section, by request, by way; without those that are "-"."""
    head, _, *rows = (
        [cell.strip() for cell in line.strip("|\n").split("|")]
        for line in documented_tables()[kind].splitlines()[2:]
    )
    return {
        row[0]: {way: cell for way, cell in zip(head[1:], row[1:], strict=True) if cell != "-"}
        for row in rows
    }


def update(kind: str, section: str) -> None:
    sections = {**documented_tables(), kind: section}
    text = "\n".join([INTRODUCTION, *(sections[name] for name in KINDS if name in sections)])
    TABLE.write_text(text, encoding="utf-8")


def documented_summary() -> dict[tuple[str, str], str]:
    """Return what docs/security.md says, by way and kind of server."""
    rows = [
        [cell.strip() for cell in line.strip("|\n ").split("|")]
        for line in SECURITY.read_text(encoding="utf-8").splitlines()
        if line.startswith("| ")
    ]
    head = next(row for row in rows if row[1:] == list(SUMMARISED))
    table = rows[rows.index(head) + 1 :][: len(WAYS)]
    return {(row[0], kind): cell for row in table for kind, cell in zip(SUMMARISED, row[1:], strict=True)}


def verdict(status: str) -> str:
    return status if status in {"401", "403"} else "in"


def assert_is_summarised(kind: str, caller: Caller, all_asked: list[Asked], cells: Cells) -> None:
    """Hold docs/security.md to what was seen."""
    for way, cell in ((way, cell) for (way, of), cell in documented_summary().items() if of == kind):
        if way not in ways_of(caller):
            assert cell == "-"
            continue
        reads, _, writes = cell.partition(" / ")
        for asked in all_asked:
            if asked.is_ours and asked.accept != "text/html":
                expected = reads if asked.method in {"GET", "HEAD"} else writes or reads
                assert verdict(cells[asked.name][way]) == expected, (way, asked)


async def cells_of(url: str, caller: Caller, all_asked: list[Asked]) -> Cells:
    # A server that is done before it has read a request closes the connection, and a client may be too quick to notice.
    limits = httpx.Limits(max_keepalive_connections=0)
    async with httpx.AsyncClient(base_url=url, timeout=60, limits=limits) as client:
        return {asked.name: await statuses(client, caller, asked) for asked in all_asked}


@pytest.fixture
def gpt_oss_config(kind: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    if kind in {HEADLESS, SERVICE}:
        monkeypatch.setattr(GptOss, "is_headless", property(lambda _: True))
    return KINDS[kind]


@pytest.fixture
def caller(jp_serverapp: ServerApp, gpt_oss: GptOss, jp_http_port: int) -> Caller:
    provider = jp_serverapp.identity_provider
    cookie = create_signed_value(
        jp_serverapp.web_app.settings["cookie_secret"],
        f"username-127-0-0-1-{jp_http_port}",
        provider.user_to_cookie(User("ann")),
    ).decode()
    is_hub = isinstance(provider, HubIdentity | HubIdentityProvider)
    token = HubIdentity.users_token if is_hub else provider.token
    return Caller(gpt_oss.door.api_key, token, f"username-127-0-0-1-{jp_http_port}={cookie}")


@pytest.mark.parametrize("kind", KINDS)
async def test_every_route_lets_in_whom_the_pages_say(
    http: HttpClient, jp_serverapp: ServerApp, gpt_oss: GptOss, caller: Caller, jp_http_port: int, kind: str
) -> None:
    del http  # with which the server listens
    url = f"http://127.0.0.1:{jp_http_port}{jp_serverapp.base_url}"
    all_asked = list(requests(routes(gpt_oss.door, at_root=gpt_oss.is_headless)))
    cells = await cells_of(url, caller, all_asked)
    if kind in SUMMARISED:
        assert_is_summarised(kind, caller, all_asked, cells)
    section = table_of(kind, cells)
    if os.environ.get("UPDATE_TABLES"):
        update(kind, section)
    assert documented_tables()[kind] == section


def assert_is_documented(
    server: JupyterProcess, kind: str, token: str, *, cookies: str = "", refused_way: str = ""
) -> None:
    """Hold a real server to the table, by those ways that it can be tried by.

    Args:
        server: that is tried.
        kind: whose table.
        token: of the server, or of a user.
        cookies: of a browser that is logged in; empty: there is none.
        refused_way: by which it lets nobody in.
    """
    [key_file] = server.home.rglob("api_key")
    caller = Caller(key_file.read_text(encoding="utf-8").strip(), token, cookies)
    documented = documented_cells(kind)
    mounted = routes(cast("Door", None), at_root=kind == HEADLESS)  # no handler is made here
    cells = asyncio.run(cells_of(server.url, caller, list(requests(mounted))))
    assert set(cells) == set(documented)
    wrong = [
        f"{name}, {way}: {cell}, not {documented[name].get(way)}"
        for name, row in cells.items()
        for way, cell in row.items()
        if not (cell in REFUSALS if way == refused_way else cell == documented[name].get(way))
    ]
    assert wrong == []


def test_a_real_server_of_the_headless_command_does_as_its_table_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    with jupyter_process(tmp_path, "mlx-gpt-oss", "--port=0", ENGINE) as server:
        logged_in = httpx.get(f"{server.url}api/me", params={"token": TOKEN}).raise_for_status()
        cookies = "; ".join(f"{name}={value}" for name, value in logged_in.cookies.items() if name != "_xsrf")
        assert_is_documented(server, HEADLESS, TOKEN, cookies=cookies)


def test_a_server_of_a_real_hub_does_as_its_table_says(tmp_path: Path) -> None:
    with jupyter_hub(tmp_path, ENGINE) as server:
        # Since JupyterHub 5 its servers take a token from a URL only where JUPYTERHUB_ALLOW_TOKEN_IN_URL says so.
        assert_is_documented(server, "JupyterHub", SERVICE_TOKEN, refused_way="that token in the URL")


def test_the_pages_have_no_way_and_no_server_that_is_not_tried() -> None:
    assert set(documented_summary()) == {(way, kind) for way in WAYS for kind in SUMMARISED}
    assert list(documented_tables()) == list(KINDS)
    assert TABLE.read_text(encoding="utf-8").startswith(INTRODUCTION)
