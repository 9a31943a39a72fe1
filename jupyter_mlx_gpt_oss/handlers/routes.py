"""Every route, once. A trailing slash is taken: proxies add and drop them."""

import re
from typing import Any

from tornado.web import RequestHandler

from jupyter_mlx_gpt_oss.handlers.base import Door
from jupyter_mlx_gpt_oss.handlers.chat_completions import ChatCompletionsHandler
from jupyter_mlx_gpt_oss.handlers.completions import CompletionsHandler
from jupyter_mlx_gpt_oss.handlers.health import HealthHandler
from jupyter_mlx_gpt_oss.handlers.models import LoadHandler, ModelHandler, ModelsHandler, UnloadHandler
from jupyter_mlx_gpt_oss.handlers.not_found import NotFoundHandler
from jupyter_mlx_gpt_oss.handlers.openapi import OpenapiHandler
from jupyter_mlx_gpt_oss.handlers.responses import (
    CancelHandler,
    InputItemsHandler,
    ResponseHandler,
    ResponsesHandler,
)
from jupyter_mlx_gpt_oss.handlers.status_page import StatusPageHandler
from jupyter_mlx_gpt_oss.handlers.tokenize import DetokenizeHandler, TokenizeHandler

Route = tuple[str, type[RequestHandler], dict[str, Any]]

_HANDLERS: tuple[tuple[str, type[RequestHandler]], ...] = (
    (r"health", HealthHandler),
    (r"openapi\.json", OpenapiHandler),
    (r"v1/models", ModelsHandler),
    (r"v1/models/(.+?)", ModelHandler),
    (r"v1/load", LoadHandler),
    (r"v1/unload", UnloadHandler),
    (r"v1/chat/completions", ChatCompletionsHandler),
    (r"v1/completions", CompletionsHandler),
    (r"v1/tokenize", TokenizeHandler),
    (r"v1/detokenize", DetokenizeHandler),
    (r"v1/responses", ResponsesHandler),
    (r"v1/responses/([^/]+?)", ResponseHandler),
    (r"v1/responses/([^/]+?)/input_items", InputItemsHandler),
    (r"v1/responses/([^/]+?)/cancel", CancelHandler),
)


def routes(door: Door, *, at_root: bool = False) -> list[Route]:
    """Return the routes below `gpt-oss/`, the last of which catches all else there.

    Args:
        door: what the handlers are given.
        at_root: mount them at the base URL too, as mlx-gpt-oss has them; there nothing else is caught.
    """
    prefixes = ("/gpt-oss/", "/") if at_root else ("/gpt-oss/",)
    mounted: list[Route] = [
        (
            f"{prefix}{path}/?",
            handler,
            {"door": door, "route": re.sub(r"\(.*\)", "{id}", path).replace("\\", "")},
        )
        for prefix in prefixes
        for path, handler in _HANDLERS
    ]
    mounted.append((r"/gpt-oss/?", StatusPageHandler, {"door": door, "route": "status"}))
    return [*mounted, (r"/gpt-oss(?:/.*)?", NotFoundHandler, {"door": door, "route": "other"})]
