"""`GET v1/models` and `GET v1/models/{id}`; `POST v1/load` and `POST v1/unload`."""

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


class LoadHandler(ApiHandler):
    """Loads the model, or another."""

    @override
    @web.authenticated
    async def post(self) -> None:
        """Send the model's card, or 202 where loading goes on after the answer."""
        self.touch_activity()
        loaded = await self.run(self.door.service.load(self.read_body()))
        self.set_status(200 if loaded.is_settled else 202)
        self.finish(loaded.model_dump_json())


class UnloadHandler(ApiHandler):
    """Gives the model's memory back."""

    @override
    @web.authenticated
    async def post(self) -> None:
        """Send the state that follows; the body has no meaning."""
        self.touch_activity()
        unloaded = await self.run(self.door.service.unload())
        self.finish(unloaded.model_dump_json())
