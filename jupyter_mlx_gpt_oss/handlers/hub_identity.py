"""A JupyterHub token to the user whose it is, and what that user may do, for a server that serves all users of a Hub.

The Hub says whose a token is, and whether it may reach this service; what it said holds for a minute. Nothing but
`gpt-oss/` is opened: the server is Jupyter's, and its other routes run code as the one who started it.
Source: JupyterHub's REST API, `GET /user`; jupyterhub.services.auth, `access_scopes`.
"""

import hashlib
import json
import os
import re
import time
from collections import OrderedDict
from typing import Any

from jupyter_server.auth import Authorizer, IdentityProvider, User
from jupyter_server.base.handlers import JupyterHandler
from tornado import web
from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPResponse
from traitlets import Float, Unicode, default
from typing_extensions import override

from jupyter_mlx_gpt_oss.errors import IdentityUnavailableError

_MAX_KNOWN_TOKENS = 10_000
_AUTHORIZATION = re.compile(r"(?:token|bearer)\s+(\S+)", re.IGNORECASE)
_OK, _FIRST_FAULT = 200, 500


class HubIdentityProvider(IdentityProvider):
    """Asks JupyterHub who a token's user is."""

    hub_api_url = Unicode(
        help="The Hub's REST API, such as `http://127.0.0.1:8081/hub/api`. Default: as the Hub tells its services."
    ).tag(config=True)
    service_name = Unicode(
        help="This service's name at the Hub: tokens need the scope `access:services!service=NAME`. Default: as the Hub "
        "tells its services."
    ).tag(config=True)
    keep_seconds = Float(
        60.0, min=0.0, help="Seconds for which the Hub's word on a token holds; a revoked one works so long."
    ).tag(config=True)

    @default("hub_api_url")
    def _hub_api_url_default(self) -> str:
        return os.environ.get("JUPYTERHUB_API_URL", "http://127.0.0.1:8081/hub/api")

    @default("service_name")
    def _service_name_default(self) -> str:
        return os.environ.get("JUPYTERHUB_SERVICE_NAME", "gpt-oss")

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._known: OrderedDict[bytes, tuple[float, User | None]] = OrderedDict()

    @property
    @override
    def login_available(self) -> bool:
        """False: Jupyter's form would take no token of the Hub's."""
        return False

    @override
    def get_token(self, handler: web.RequestHandler) -> None:
        """Return None: a caller is named by the Hub's user, who may have several tokens."""
        del handler

    @override
    async def get_user_token(self, handler: web.RequestHandler) -> User | None:
        """Return the user of the token that a request carries; None: no token, or one that may not be used here.

        Raises:
            IdentityUnavailableError: the Hub does not answer.
        """
        match = _AUTHORIZATION.fullmatch(handler.request.headers.get("Authorization", "").strip())
        if match is None:
            return None
        mark = hashlib.sha256(match.group(1).encode()).digest()
        until, user = self._known.get(mark, (0.0, None))
        if time.monotonic() >= until:
            user = await self._ask(match.group(1))
            self._known[mark] = (time.monotonic() + self.keep_seconds, user)
            self._known.move_to_end(mark)
            if len(self._known) > _MAX_KNOWN_TOKENS:
                self._known.popitem(last=False)
        return user

    @override
    def get_user_cookie(self, handler: web.RequestHandler) -> None:
        """Return None: a cookie would outlive its token."""
        del handler

    @override
    def set_login_cookie(self, handler: web.RequestHandler, user: User) -> None:
        """Set none."""

    async def _ask(self, token: str) -> User | None:
        try:
            response = await AsyncHTTPClient().fetch(
                f"{self.hub_api_url.rstrip('/')}/user",
                headers={"Authorization": f"token {token}"},
                raise_error=False,
                request_timeout=10,
            )
        except (OSError, HTTPClientError) as error:  # the latter is a silence, or an end without an answer
            raise IdentityUnavailableError("JupyterHub does not answer. Try again.") from error
        if response.code >= _FIRST_FAULT:
            raise IdentityUnavailableError(f"JupyterHub answered with status {response.code}. Try again.")
        return self._user_of(response)

    def _user_of(self, response: HTTPResponse) -> User | None:
        if response.code != _OK:
            return None
        model = json.loads(response.body)
        needed = {"access:services", f"access:services!service={self.service_name}"}
        if not needed & set(model["scopes"]):
            return None
        return User(username=f"{model['kind']} {model['name']}", name=model["name"])


class GptOssAuthorizer(Authorizer):
    """Opens the routes below `gpt-oss/` and nothing else of the server."""

    @override
    def is_authorized(self, handler: JupyterHandler, user: User, action: str, resource: str) -> bool:
        """Say whether a user may do something."""
        del handler, user, action
        return resource == "gpt_oss"
