"""The page for people: who sees it, what it says, and what never stands on it."""

import html
import re
from pathlib import Path
from typing import Any

import pytest
from jupyter_server.auth import Authorizer
from jupyter_server.serverapp import ServerApp
from typing_extensions import override

from jupyter_mlx_gpt_oss.app import GptOss
from jupyter_mlx_gpt_oss.engine.base import ModelInfo
from jupyter_mlx_gpt_oss.errors import ModelLoadError
from jupyter_mlx_gpt_oss.handlers.client_snippets import EXAMPLE_BASE_URL, client_snippets
from jupyter_mlx_gpt_oss.handlers.hub_identity import HubIdentityProvider
from jupyter_mlx_gpt_oss.handlers.recent_requests import MAX_KEPT, RecentRequest, RecentRequests
from jupyter_mlx_gpt_oss.handlers.status_view import Figure, Share, StatusView, duration, status_view
from tests.support.http_client import HttpClient
from tests.support.scripted_engine import ScriptedEngine

PAGE = "gpt-oss/"
LIVE = {"part": "live"}
BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
STRANGER = {"Authorization": "", **BROWSER}


def scoped_key(gpt_oss: GptOss) -> dict[str, str]:
    return {"Authorization": f"Bearer {gpt_oss.door.api_key}"}


@pytest.mark.parametrize("path", ["gpt-oss", "gpt-oss/"])
async def test_the_page_is_found_with_and_without_its_slash(http: HttpClient, path: str) -> None:
    reply = await http.get(path)
    assert reply.status == 200
    assert reply.response.headers["Content-Type"].startswith("text/html")


async def test_the_page_says_how_the_model_is(http: HttpClient, engine: ScriptedEngine) -> None:
    assert "not loaded" in (await http.get(PAGE)).text
    await engine.load("mlx-community/gpt-oss-20b")
    page = (await http.get(PAGE)).text
    assert "mlx-community/gpt-oss-20b" in page
    assert "4,096 tokens of context" in page
    assert "ready" in page


async def test_the_page_says_why_a_model_could_not_be_loaded(
    http: HttpClient, engine: ScriptedEngine
) -> None:
    engine.load_error = ModelLoadError("No <model> there.")
    await http.chat()
    page = (await http.get(PAGE, params=LIVE)).text
    assert "failed" in page
    assert "No &lt;model&gt; there." in page


async def test_the_live_part_is_what_changes_and_has_no_key(http: HttpClient, gpt_oss: GptOss) -> None:
    live = (await http.get(PAGE, params=LIVE)).text
    assert live.startswith('<section id="live"')
    assert live in (await http.get(PAGE)).text.replace("  <section", "<section")
    assert gpt_oss.door.api_key not in live


async def test_every_snippet_holds_the_url_that_the_page_was_asked_at(
    http: HttpClient, jp_serverapp: ServerApp, jp_http_port: int
) -> None:
    base_url = f"http://127.0.0.1:{jp_http_port}{jp_serverapp.base_url}gpt-oss/v1"
    page = html.unescape((await http.get(PAGE)).text)
    for snippet in client_snippets(base_url):
        assert snippet.text.strip() in page, snippet.client
    assert f'value="{base_url}"' in page
    assert EXAMPLE_BASE_URL not in page


async def test_whoever_may_ask_sees_the_key_and_no_cache_keeps_it(http: HttpClient, gpt_oss: GptOss) -> None:
    for headers in ({}, scoped_key(gpt_oss)):
        reply = await http.get(PAGE, headers=headers)
        assert reply.text.count(gpt_oss.door.api_key) == 1
        assert reply.response.headers["Cache-Control"] == "no-store"


async def test_nothing_inline_runs_and_nothing_comes_from_elsewhere(http: HttpClient) -> None:
    reply = await http.get(PAGE)
    policy = reply.response.headers["Content-Security-Policy"]
    for rule in ("default-src 'none'", "script-src 'self'", "style-src 'self'", "frame-ancestors 'self'"):
        assert rule in policy
    assert "unsafe" not in policy
    assert not re.search(r"<script(?! src=)|<style|\sstyle=|\son\w+=", reply.text)
    for target in re.findall(r'(?:src|href)="([^"]*)"', reply.text):
        assert target.startswith("/a%40b/static/")
        assert (await http.get(target.removeprefix("/a%40b/"))).status == 200


async def test_a_stranger_with_a_browser_is_sent_to_log_in(http: HttpClient) -> None:
    reply = await http.get(PAGE, headers=dict(STRANGER), follow_redirects=False)
    assert reply.status == 302
    assert reply.response.headers["Location"] == "/a%40b/login?next=%2Fa%2540b%2Fgpt-oss%2F"


@pytest.mark.parametrize("headers", [{"Authorization": ""}, {"Authorization": "Bearer nope", **BROWSER}])
async def test_a_program_without_a_right_key_is_refused_as_everywhere(
    http: HttpClient, headers: dict[str, str]
) -> None:
    reply = await http.get(PAGE, headers=headers)
    assert (reply.status, reply.error["code"]) == (401, "invalid_api_key")


@pytest.mark.filterwarnings(r"ignore:Extension endpoints[\s\S]*of TermSocket")  # the terminals', not ours
class TestWhereJupyterItselfAsksForAUser:
    @pytest.fixture
    def gpt_oss_config(self) -> dict[str, Any]:
        return {"ServerApp": {"allow_unauthenticated_access": False}}

    @pytest.mark.parametrize("headers", [{"Authorization": ""}, {"Authorization": "Bearer nope", **BROWSER}])
    async def test_a_program_without_a_right_key_is_refused(
        self, http: HttpClient, headers: dict[str, str]
    ) -> None:
        reply = await http.get(PAGE, headers=headers, follow_redirects=False)
        assert (reply.status, reply.error["code"]) == (401, "invalid_api_key")

    async def test_a_browser_is_sent_to_log_in(self, http: HttpClient) -> None:
        reply = await http.get(PAGE, headers=dict(STRANGER), follow_redirects=False)
        assert reply.status == 302


class TestAServiceOfAHub:
    @pytest.fixture
    def gpt_oss_config(self) -> dict[str, Any]:
        return {"ServerApp": {"identity_provider_class": HubIdentityProvider}}

    async def test_sends_no_browser_to_a_form_that_takes_no_token_of_the_hub(self, http: HttpClient) -> None:
        reply = await http.get(PAGE, headers=dict(STRANGER), follow_redirects=False)
        assert (reply.status, reply.error["code"]) == (401, "invalid_api_key")


async def test_a_wrong_method_is_refused(http: HttpClient) -> None:
    assert (await http.send("POST", PAGE, body=b"{}")).status == 405


async def test_requests_are_listed_without_a_word_of_them(http: HttpClient) -> None:
    await http.chat("a secret question")
    await http.post("gpt-oss/v1/chat/completions", {})
    await http.get("gpt-oss/v1/models/a-secret-model")
    await http.get("gpt-oss/health")
    live = (await http.get(PAGE, params=LIVE)).text
    rows = re.findall(r"<code>(\w+ v1\S+)</code></td>\s*<td><span class=\"(\w+)\">(\w+)", live)
    assert rows == [
        ("GET v1/models/{id}", "bad", "model_not_found"),
        ("POST v1/chat/completions", "bad", "invalid_request_error"),
        ("POST v1/chat/completions", "good", "ok"),
    ]
    assert "secret" not in live
    assert "health" not in live


async def test_a_page_that_is_left_open_does_not_keep_an_idle_server_alive(
    http: HttpClient, jp_serverapp: ServerApp
) -> None:
    settings = jp_serverapp.web_app.settings
    before = settings.get("api_last_activity")
    await http.get(PAGE, params=LIVE)
    assert settings.get("api_last_activity") == before


class LookersOn(Authorizer):
    """Everybody may look, and nobody ask."""

    @override
    def is_authorized(self, handler: Any, user: Any, action: str, resource: str) -> bool:
        return action == "read"


class TestWhoMayOnlyLook:
    @pytest.fixture
    def gpt_oss_config(self) -> dict[str, Any]:
        return {"ServerApp": {"authorizer_class": LookersOn}}

    async def test_sees_the_page_and_not_the_key(self, http: HttpClient, gpt_oss: GptOss) -> None:
        reply = await http.get(PAGE)
        assert reply.status == 200
        assert gpt_oss.door.api_key not in reply.text


def test_the_extension_leads_to_the_page(gpt_oss: GptOss) -> None:
    assert gpt_oss.default_url == "/gpt-oss/"


def test_clients_md_holds_every_snippet() -> None:
    document = (Path(__file__).parents[2] / "docs" / "clients.md").read_text(encoding="utf-8")
    for snippet in client_snippets(EXAMPLE_BASE_URL):
        assert snippet.text in document, snippet.client


def test_only_the_last_requests_are_kept() -> None:
    recent = RecentRequests(clock=lambda: 7.0)
    for number in range(MAX_KEPT + 5):
        recent.add(method="GET", route=f"r{number}", outcome="ok", seconds=0.0)
    routes = [request.route for request in recent]
    assert len(routes) == MAX_KEPT
    assert routes[0] == f"r{MAX_KEPT + 4}"


HEALTH = {
    "status": "ok",
    "model": "large",
    "state": "ready",
    "error": None,
    "active_requests": 2,
    "queued_requests": 3,
    "progress": None,
    "memory_bytes": 20_000_000_000,
    "prefix_cache_bytes": 500_000_000,
    "tokens_per_second": 41.26,
    "engine_restarts": 1,
    "uptime_seconds": 7500.0,
}
MODEL = ModelInfo(
    name="large",
    context_length=131_072,
    quantization="mxfp4 experts",
    vocabulary_size=1,
    is_demo=False,
    weight_bytes=12_000_000_000,
    device="gpu",
)


def view(
    model: ModelInfo | None = MODEL, recent: tuple[RecentRequest, ...] = (), **health: Any
) -> StatusView:
    return status_view({**HEALTH, **health}, model, recent, now=100.0)


def test_the_view_has_every_figure() -> None:
    assert view().figures == [
        Figure("requests", "2", "running, 3 waiting"),
        Figure("speed", "41.3", "tokens/s"),
        Figure("memory", "20.0 GB", "weights 12.0 GB"),
        Figure("cache", "500 MB", "kept of earlier prompts"),
        Figure("restarts", "1", "of the engine"),
        Figure("uptime", "2 h 5 min"),
    ]
    assert view().details == ["mxfp4 experts", "131,072 tokens of context", "on the gpu"]
    assert view().is_busy


def test_the_shares_of_the_memory_add_up() -> None:
    shares = view().memory_shares
    assert shares == [Share("weights", 0.0, 60.0), Share("cache", 60.0, 2.5), Share("other", 62.5, 37.5)]
    odd = view(memory_bytes=10_000_000_000).memory_shares  # a report that lags behind
    assert [share.width for share in odd] == [100.0, 0.0, 0.0]
    assert view(model=None).memory_shares == []


@pytest.mark.parametrize(
    ("progress", "expected"),
    [
        (None, ("Starting the engine", None)),
        ({"stage": "warming_up", "done": None, "total": None}, ("Warming up the model", None)),
        (
            {"stage": "downloading", "done": 3_000_000_000, "total": 12_000_000_000},
            ("Downloading the model: 3.0 GB of 12.0 GB", 0.25),
        ),
    ],
)
def test_the_view_says_how_far_loading_is(
    progress: dict[str, Any] | None, expected: tuple[str, float | None]
) -> None:
    loading = view(None, state="loading", progress=progress, active_requests=0, queued_requests=0)
    assert loading.progress == expected
    assert loading.is_busy
    assert view(None, state="ready", progress=progress).progress is None


def test_a_request_is_a_row() -> None:
    request = RecentRequest(ended=40.0, method="POST", route="v1/responses", outcome="ok", seconds=1.234)
    assert view(recent=(request,)).requests == [("1 min ago", "POST v1/responses", "ok", "1.23 s")]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-1, "0 s"), (59.9, "59 s"), (60, "1 min"), (7500, "2 h 5 min"), (90_000, "1 d 1 h")],
)
def test_a_duration_has_two_units_at_most(seconds: float, text: str) -> None:
    assert duration(seconds) == text
