"""`GET health`: whether the model can answer. Never waits for it."""

import json

from tornado import web
from typing_extensions import override

from jupyter_mlx_gpt_oss.handlers.base import ApiHandler


class HealthHandler(ApiHandler):
    """Says how the engine is."""

    _track_activity = False  # a monitor that asks every minute must not keep an idle server alive

    @override
    @web.authenticated
    def get(self) -> None:
        """Send 200, or 503 when the model cannot be loaded."""
        health = self.door.service.health()
        self.set_status(200 if health["status"] == "ok" else 503)
        self.finish(json.dumps(health))
