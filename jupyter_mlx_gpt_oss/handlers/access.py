"""Who may call a route below `gpt-oss/`.

Access is Jupyter's own (its token, a JupyterHub token, its cookie), and besides it the scoped key, which opens
these routes and nothing else. A wrong key is 401 on every kind of server.
"""

import hashlib
import re
from typing import Any

from jupyter_core.utils import ensure_async
from jupyter_server.auth import AllowAllAuthorizer, Authorizer, IdentityProvider, User
from jupyter_server.auth.decorator import allow_unauthenticated
from jupyter_server.auth.utils import HTTP_METHOD_TO_AUTH_ACTION
from jupyter_server.base.handlers import APIHandler
from tornado import web
from typing_extensions import override

from jupyter_mlx_gpt_oss.errors import AuthenticationError, PermissionDeniedError
from jupyter_mlx_gpt_oss.handlers.addresses import is_loopback
from jupyter_mlx_gpt_oss.handlers.api_key import is_same_key

_AUTHORIZATION = re.compile(r"(?:token|bearer)\s+(.+)", re.IGNORECASE)


class KeyIdentity(IdentityProvider):
    """Stands in for the server's identity provider in a request that carries the scoped key."""

    user = User("gpt-oss-key", "GPT-OSS key", "GPT-OSS key", "GK")

    @override
    def get_user(self, handler: web.RequestHandler) -> User:
        """Return the one user who has the key."""
        del handler
        return self.user

    @override
    def is_token_authenticated(self, handler: web.RequestHandler) -> bool:
        """Return True: no page of another site can send the key by itself."""
        del handler
        return True


class AccessHandler(APIHandler):
    """Lets in whom Jupyter or the scoped key lets in, before any method of a route is called."""

    auth_resource = "gpt_oss"
    _presented_key: str | None = None
    _key_identity: KeyIdentity | None = None

    def look_at_key(self, api_key: str) -> None:
        """See whether the request carries the scoped key; must be called before `prepare`."""
        match = _AUTHORIZATION.fullmatch(self.request.headers.get("Authorization", "").strip())
        self._presented_key = match.group(1) if match else None
        if self._presented_key is not None and is_same_key(self._presented_key, api_key):
            self._key_identity = KeyIdentity()

    @property
    @override
    def identity_provider(self) -> IdentityProvider:
        """Who says who the caller is."""
        return self._key_identity or super().identity_provider

    @property
    @override
    def authorizer(self) -> Authorizer:
        """Who says what the caller may do: the scoped key may do everything here."""
        return AllowAllAuthorizer() if self._key_identity else super().authorizer

    @property
    def has_scoped_key(self) -> bool:
        """Whether the caller sent the scoped key, which several people may have."""
        return self._key_identity is not None

    @property
    def owner(self) -> str:
        """Names the caller, always by the same opaque text: by the key or token that was sent, else by the user.

        Jupyter gives whoever sends a token another user name each time.
        """
        token = None
        if self.has_scoped_key:
            token = self._presented_key
        elif self.token_authenticated:
            # Else one in the URL, which nobody is let in by, would make anybody somebody else.
            token = self.identity_provider.get_token(self)
        name = f"token {token}" if token else f"user {self.current_user.username}"
        return hashlib.sha256(name.encode()).hexdigest()

    @override
    async def prepare(self, **_kwargs: Any) -> None:
        """Let the caller in.

        Raises:
            AuthenticationError: no key, or a wrong one.
            PermissionDeniedError: the server's authorizer says no.
        """
        await super().prepare()
        if self.request.method == "OPTIONS":
            return
        self._refuse_stranger()
        action = HTTP_METHOD_TO_AUTH_ACTION[str(self.request.method)]
        verdict = self.authorizer.is_authorized(self, self.current_user, action, self.auth_resource)
        if not await ensure_async(verdict):
            raise PermissionDeniedError(f"You may not {action} here; the server's authorizer decides so.")

    @override
    def check_xsrf_cookie(self) -> None:
        """Refuse a stranger by name, before the check of cookies does it in words about cookies."""
        if self._key_identity is not None:
            return
        if hasattr(self, "_jupyter_current_user"):
            self._refuse_stranger()
        super().check_xsrf_cookie()

    @override
    def check_origin(self, origin_to_satisfy_tornado: str = "") -> bool:
        """Refuse a page of another origin in words about origins; Jupyter would say that there is no such route."""
        if super().check_origin(origin_to_satisfy_tornado):
            return True
        if hasattr(self, "_jupyter_current_user"):
            self._refuse_stranger()
        raise PermissionDeniedError(
            "Pages of another origin may not ask here; ServerApp.allow_origin names those that may."
        )

    @override
    def get_login_url(self) -> str:
        """Refuse a stranger: a program has no use for a page to log in."""
        self._refuse_stranger()
        return super().get_login_url()

    @override
    @allow_unauthenticated
    def options(self, *_args: str, **_kwargs: str) -> None:
        """Answer a preflight; which origins may ask, `prepare` has said from `ServerApp.allow_origin`."""
        asked = self.request.headers.get("Access-Control-Request-Headers", "authorization, content-type")
        self.set_header("Access-Control-Allow-Headers", asked)
        self.set_header("Access-Control-Allow-Methods", "GET, POST, DELETE, OPTIONS")
        self.set_status(204)
        self.finish()

    @property
    def is_open_to_others(self) -> bool:
        """Whether the server asks nobody who they are, and other machines reach it."""
        server = self.serverapp
        is_reached = server is not None and not server.sock and not is_loopback(server.ip)
        return is_reached and not self.identity_provider.auth_enabled

    def _refuse_stranger(self) -> None:
        # A cookie, or a server without authentication, would let a wrong key in; what was presented decides.
        is_wrong_key = self._presented_key is not None and not self.token_authenticated
        if self.current_user is not None and not is_wrong_key and not self.is_open_to_others:
            return
        if self._presented_key is None and self.is_open_to_others:
            message = (
                "Other machines reach this server and it asks nobody who they are, so only GPT-OSS's key opens these routes: "
                "send `Authorization: Bearer KEY`, or give the server a token or a password."
            )
        elif self._presented_key is None:
            message = "No API key was sent; send `Authorization: Bearer KEY` with GPT-OSS's key or the server's token."
        else:
            message = "Incorrect API key; send GPT-OSS's key or the token of this notebook server."
        raise AuthenticationError(message)
