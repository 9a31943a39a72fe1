"""Identity providers of servers that pytest-jupyter cannot configure."""

from typing import Any, NoReturn

from jupyter_server.auth.identity import IdentityProvider, PasswordIdentityProvider, User
from tornado.web import HTTPError, RequestHandler
from typing_extensions import override


class OpenIdentity(PasswordIdentityProvider):
    """Has no token, as with `--IdentityProvider.token=''`; pytest-jupyter gives one to every server."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.token = ""


class BrokenIdentity(IdentityProvider):
    """Cannot say who anybody is, as JupyterHub's when the hub does not answer."""

    @override
    def get_user(self, handler: RequestHandler) -> NoReturn:
        raise HTTPError(500, "Failed to check authorization")


class HubIdentity(IdentityProvider):
    """Knows tokens that the server itself was not given, as JupyterHub's, which asks the hub about each of them."""

    users_token = "hub-token-of-ann"

    @override
    async def get_user_token(self, handler: RequestHandler) -> User | None:
        is_known = self.get_token(handler) == self.users_token
        return User("ann") if is_known else await super().get_user_token(handler)
