"""`GET gpt-oss/`: a page for people. How the model is, and how to connect a client to it.

The page needs nothing but this server. Its live part is fetched again and again as HTML, so that every word of it is
made here. A stranger with a browser is sent to log in; everything else is as on all routes.
"""

import time
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader
from jupyter_core.utils import ensure_async
from jupyter_server.utils import url_path_join
from tornado import web
from tornado.httputil import url_concat
from typing_extensions import override

from jupyter_mlx_gpt_oss import __version__
from jupyter_mlx_gpt_oss.errors import AuthenticationError
from jupyter_mlx_gpt_oss.handlers.base import ApiHandler
from jupyter_mlx_gpt_oss.handlers.client_snippets import KEY_PLACEHOLDER, client_snippets
from jupyter_mlx_gpt_oss.handlers.status_view import StatusView, status_view

HTML = "text/html; charset=UTF-8"
LIVE_PART = "live"


class StatusPageHandler(ApiHandler):
    """Shows the status page, or its live part alone."""

    _track_activity = False  # a page that is left open must not keep an idle server alive

    @property
    @override
    def content_security_policy(self) -> str:
        """Allow what the page is made of, all from this server, and nothing inline."""
        own = "script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'"
        return f"{super().content_security_policy}; {own}; base-uri 'none'; form-action 'none'"

    @override
    @web.authenticated
    async def get(self) -> None:
        """Send the page; with `?part=live` what changes on it."""
        self.set_header("Cache-Control", "no-store")  # it holds the key
        if self.get_query_argument("part", "") == LIVE_PART:
            page = _templates().get_template("status_live.html").render(view=self._view())
        else:
            page = _templates().get_template("status.html").render(await self._values())
        self.finish(page, set_content_type=HTML)

    @override
    def get_login_url(self) -> str:
        """Return where a person logs in, JupyterHub's own page there; a program is refused.

        Raises:
            AuthenticationError: nobody who may log in asks, without a key or with a wrong one.
        """
        if not (self._is_browser() and self.identity_provider.login_available):
            self._refuse_stranger()
        return str(self.settings["login_url"])

    @override
    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Send a stranger with a browser to log in; answer all else as any route does."""
        error = self.error_of_failure(status_code, **kwargs)
        has_page = self.identity_provider.login_available and not self.is_open_to_others
        can_log_in = self._is_browser() and has_page
        if not (isinstance(error, AuthenticationError) and can_log_in):
            super().write_error(status_code, **kwargs)
            return
        self.redirect(url_concat(self.get_login_url(), {"next": self.request.path}))

    def _is_browser(self) -> bool:
        accepted = self.request.headers.get("Accept", "")
        return self._presented_key is None and "text/html" in accepted and self.request.method == "GET"

    def _view(self) -> StatusView:
        service = self.door.service
        return status_view(
            service.health(), service.engine_status().model, self.door.recent_requests, time.time()
        )

    async def _values(self) -> dict[str, Any]:
        origin = f"{self.request.protocol}://{self.request.host}"
        base_url = origin + url_path_join(self.base_url, "gpt-oss/v1")
        return {
            "view": self._view(),
            "origin": origin,
            "base_url": base_url,
            "static": url_path_join(self.base_url, "static/jupyter_mlx_gpt_oss/"),
            "icon": url_path_join(self.base_url, "static/favicons/favicon.ico"),
            "snippets": client_snippets(base_url),
            "key": self.door.api_key if await self._may_have_key() else "",
            "key_placeholder": KEY_PLACEHOLDER,
            "version": __version__,
        }

    async def _may_have_key(self) -> bool:
        # The key may write: who may only look must not get it here.
        verdict = self.authorizer.is_authorized(self, self.current_user, "write", self.auth_resource)
        return bool(await ensure_async(verdict))


@cache
def _templates() -> Environment:
    return Environment(
        loader=PackageLoader("jupyter_mlx_gpt_oss.handlers"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
