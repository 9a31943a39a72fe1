"""`GET v1/models` and `GET v1/models/{id}`."""

from tornado import web
from typing_extensions import override

from jupyter_mlx_gpt_oss.handlers.base import ApiHandler


class ModelsHandler(ApiHandler):
    """Lists the model."""

    @override
    @web.authenticated
    async def get(self) -> None:
        """Send the list."""
        models = await self.door.service.models()
        self.finish(models.list().model_dump_json())


class ModelHandler(ApiHandler):
    """Shows one model."""

    @override
    @web.authenticated
    async def get(self, model_id: str) -> None:
        """Send the card; an id may hold slashes."""
        models = await self.door.service.models()
        self.finish(models.card(model_id).model_dump_json())
