"""`GET openapi.json`: what the routes take and give, for programs."""

import json

from tornado import web
from typing_extensions import override

from jupyter_mlx_gpt_oss.handlers.base import ApiHandler


class OpenapiHandler(ApiHandler):
    """Describes the server that it is asked of."""

    _track_activity = False  # who asks what there is does not use it

    @override
    @web.authenticated
    async def get(self) -> None:
        """Send the document."""
        own_path = self.request.path.rstrip("/").removesuffix("/openapi.json")
        document = await self.door.service.openapi(f"{self.request.protocol}://{self.request.host}{own_path}")
        self.finish(json.dumps(document))
