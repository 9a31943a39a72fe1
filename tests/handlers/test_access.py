"""Who gets in: every kind of Jupyter server, every kind of key."""

from typing import Any

import pytest
from jupyter_server.auth import Authorizer
from jupyter_server.auth.security import passwd
from jupyter_server.serverapp import ServerApp
from typing_extensions import override

from jupyter_mlx_gpt_oss.app import GptOss
from tests.support.http_client import HttpClient, Reply
from tests.support.scripted_engine import ScriptedEngine

CHAT = {"messages": [{"role": "user", "content": "Hi"}]}
NO_KEY = {"Authorization": ""}
WRONG_KEY = {"Authorization": "Bearer nope"}


def scoped_key(gpt_oss: GptOss) -> dict[str, str]:
    return {"Authorization": f"Bearer {gpt_oss.door.api_key}"}


async def chat(http: HttpClient, headers: dict[str, str]) -> Reply:
    return await http.post("gpt-oss/v1/chat/completions", CHAT, headers=dict(headers))


def assert_is_refused(reply: Reply) -> None:
    assert reply.status == 401
    assert reply.error["code"] == "invalid_api_key"
    assert reply.response.headers["WWW-Authenticate"] == "Bearer"


class TestTokenServer:
    async def test_the_token_opens(self, http: HttpClient) -> None:
        assert (await http.chat()).status == 200
        assert (await http.get("gpt-oss/v1/models")).status == 200

    async def test_the_token_as_bearer_opens(self, http: HttpClient, jp_serverapp: ServerApp) -> None:
        token = jp_serverapp.identity_provider.token
        assert (await chat(http, {"Authorization": f"Bearer {token}"})).status == 200

    async def test_the_scoped_key_opens_and_sets_no_cookie(self, http: HttpClient, gpt_oss: GptOss) -> None:
        reply = await chat(http, scoped_key(gpt_oss))
        assert reply.status == 200
        assert "Set-Cookie" not in reply.response.headers

    async def test_a_token_in_the_url_that_opens_nothing_makes_nobody_another_caller(
        self, http: HttpClient, gpt_oss: GptOss, engine: ScriptedEngine
    ) -> None:
        for query in ({}, {"token": "1"}, {"token": "2"}):
            reply = await http.post(
                "gpt-oss/v1/chat/completions", CHAT, headers=scoped_key(gpt_oss), params=query
            )
            assert reply.status == 200
        assert len({request.caller for request in engine.requests}) == 1
        await http.chat()
        assert len({request.caller for request in engine.requests}) == 2

    async def test_the_scoped_key_opens_nothing_else(self, http: HttpClient, gpt_oss: GptOss) -> None:
        for path in ("api/status", "api/kernels", "api/contents"):
            assert (await http.get(path, headers=scoped_key(gpt_oss))).status == 403

    @pytest.mark.parametrize("headers", [WRONG_KEY, NO_KEY, {"Authorization": "Bearer "}])
    @pytest.mark.parametrize("path", ["health", "v1/models", "v1/models/demo", "nothing"])
    async def test_no_route_opens_without_a_right_key(
        self, http: HttpClient, path: str, headers: dict[str, str]
    ) -> None:
        assert_is_refused(await http.get(f"gpt-oss/{path}", headers=dict(headers)))

    @pytest.mark.parametrize("headers", [WRONG_KEY, NO_KEY])
    async def test_a_post_is_refused_in_words_about_keys(
        self, http: HttpClient, headers: dict[str, str]
    ) -> None:
        reply = await chat(http, headers)
        assert_is_refused(reply)
        assert "API key" in reply.error["message"]
        assert "xsrf" not in reply.text

    async def test_a_host_that_is_not_this_machine_is_refused(self, http: HttpClient) -> None:
        reply = await http.get("gpt-oss/health", headers={"Host": "example.com"})
        assert (reply.status, reply.error["code"]) == (403, "permission_denied")


class TestPasswordServer:
    @pytest.fixture
    def gpt_oss_config(self) -> dict[str, Any]:
        hashed = passwd("swordfish", "sha1")  # type: ignore[no-untyped-call]
        return {
            "ServerApp": {"identity_provider_class": "jupyter_server.auth.PasswordIdentityProvider"},
            "PasswordIdentityProvider": {"hashed_password": hashed, "token": ""},
        }

    async def test_only_the_scoped_key_opens(self, http: HttpClient, gpt_oss: GptOss) -> None:
        assert (await chat(http, scoped_key(gpt_oss))).status == 200
        assert_is_refused(await chat(http, WRONG_KEY))
        assert_is_refused(await chat(http, NO_KEY))
        assert_is_refused(await http.get("gpt-oss/v1/models", headers=dict(WRONG_KEY)))

    async def test_the_password_does_not_pass_as_a_key(self, http: HttpClient) -> None:
        assert_is_refused(await chat(http, {"Authorization": "Bearer swordfish"}))


class TestOpenServer:
    @pytest.fixture
    def gpt_oss_config(self) -> dict[str, Any]:
        return {"ServerApp": {"identity_provider_class": "tests.support.identities.OpenIdentity"}}

    async def test_the_scoped_key_opens(self, http: HttpClient, gpt_oss: GptOss) -> None:
        assert (await chat(http, scoped_key(gpt_oss))).status == 200

    async def test_a_wrong_key_is_refused(self, http: HttpClient) -> None:
        assert_is_refused(await chat(http, WRONG_KEY))
        assert_is_refused(await http.get("gpt-oss/v1/models", headers=dict(WRONG_KEY)))
        assert_is_refused(await chat(http, {"Authorization": "Bearer not the key"}))

    async def test_reading_needs_no_key_and_writing_from_a_page_needs_the_cookie(
        self, http: HttpClient
    ) -> None:
        assert (await http.get("gpt-oss/v1/models", headers=dict(NO_KEY))).status == 200
        reply = await chat(http, NO_KEY)
        assert (reply.status, reply.error["code"]) == (403, "permission_denied")


class TestOpenServerForPrograms:
    @pytest.fixture
    def gpt_oss_config(self) -> dict[str, Any]:
        identity = "tests.support.identities.OpenIdentity"
        return {"ServerApp": {"identity_provider_class": identity, "disable_check_xsrf": True}}

    async def test_anybody_may_ask(self, http: HttpClient) -> None:
        assert (await chat(http, NO_KEY)).status == 200


class TestServerWhoseHubIsAway:
    @pytest.fixture
    def gpt_oss_config(self) -> dict[str, Any]:
        return {"ServerApp": {"identity_provider_class": "tests.support.identities.BrokenIdentity"}}

    async def test_a_caller_gets_an_error_in_openais_shape(self, http: HttpClient) -> None:
        reply = await http.get("gpt-oss/v1/models")
        assert (reply.status, reply.error["code"]) == (500, "internal_error")

    async def test_the_scoped_key_opens_all_the_same(self, http: HttpClient, gpt_oss: GptOss) -> None:
        assert (await chat(http, scoped_key(gpt_oss))).status == 200


@pytest.mark.filterwarnings(r"ignore:Extension endpoints[\s\S]*of TermSocket")  # the terminals', not ours
class TestGuardedServer:
    @pytest.fixture
    def gpt_oss_config(self) -> dict[str, Any]:
        return {"ServerApp": {"authorizer_class": NobodyWrites, "allow_unauthenticated_access": False}}

    async def test_the_servers_authorizer_decides_for_its_token(self, http: HttpClient) -> None:
        assert (await http.get("gpt-oss/v1/models")).status == 200
        reply = await http.chat()
        assert (reply.status, reply.error["code"]) == (403, "permission_denied")

    async def test_the_scoped_key_may_write(self, http: HttpClient, gpt_oss: GptOss) -> None:
        assert (await chat(http, scoped_key(gpt_oss))).status == 200

    async def test_strangers_are_refused_in_the_same_words(self, http: HttpClient) -> None:
        assert_is_refused(await http.get("gpt-oss/v1/models", headers=dict(WRONG_KEY)))
        assert_is_refused(await chat(http, WRONG_KEY))


class NobodyWrites(Authorizer):
    @override
    def is_authorized(self, handler: Any, user: Any, action: str, resource: str) -> bool:
        del handler, user
        return action == "read" and resource == "gpt_oss"


class TestKey:
    @pytest.fixture
    def gpt_oss_config(self) -> dict[str, Any]:
        return {"GptOss": {"api_key": "sk-mine"}}

    async def test_a_configured_key_is_the_key_and_is_not_kept(
        self, http: HttpClient, gpt_oss: GptOss
    ) -> None:
        assert (await chat(http, {"Authorization": "Bearer sk-mine"})).status == 200
        assert not gpt_oss.key_path.exists()

    @pytest.mark.parametrize("gpt_oss_config", [{"GptOss": {"api_key": "three plain words"}}])
    async def test_a_configured_key_may_have_spaces(self, http: HttpClient) -> None:
        assert (await chat(http, {"Authorization": "Bearer three plain words"})).status == 200
        assert_is_refused(await chat(http, {"Authorization": "Bearer three"}))


async def test_a_kept_key_is_readable_for_its_owner_alone(gpt_oss: GptOss) -> None:
    assert gpt_oss.key_path.read_text().strip() == gpt_oss.door.api_key
    assert gpt_oss.key_path.stat().st_mode & 0o777 == 0o600


PREFLIGHT = {
    "Origin": "https://lab.example",
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization, content-type, x-stainless-lang",
    "Authorization": "",
}


class TestCors:
    @pytest.fixture
    def gpt_oss_config(self) -> dict[str, Any]:
        return {"ServerApp": {"allow_origin": "https://lab.example"}}

    async def test_a_preflight_of_the_allowed_origin_passes_without_a_key(self, http: HttpClient) -> None:
        reply = await http.send("OPTIONS", "gpt-oss/v1/chat/completions", headers=dict(PREFLIGHT))
        assert reply.status == 204
        headers = reply.response.headers
        assert headers["Access-Control-Allow-Origin"] == "https://lab.example"
        assert "x-stainless-lang" in headers["Access-Control-Allow-Headers"]

    async def test_a_page_can_read_errors_too(self, http: HttpClient, gpt_oss: GptOss) -> None:
        headers = {**scoped_key(gpt_oss), "Origin": "https://lab.example"}
        reply = await http.post("gpt-oss/v1/chat/completions", {}, headers=headers)
        assert reply.status == 400
        assert reply.response.headers["Access-Control-Allow-Origin"] == "https://lab.example"


async def test_without_an_allowed_origin_no_preflight_passes(http: HttpClient) -> None:
    reply = await http.send("OPTIONS", "gpt-oss/v1/chat/completions", headers=dict(PREFLIGHT))
    assert "Access-Control-Allow-Origin" not in reply.response.headers
