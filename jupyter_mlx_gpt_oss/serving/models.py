"""The model that is served, as OpenAI's list and card, and its change for another. Works while nothing is loaded."""

import asyncio
from collections.abc import Collection, Coroutine
from dataclasses import dataclass
from typing import Any

from jupyter_mlx_gpt_oss.engine.base import Engine
from jupyter_mlx_gpt_oss.errors import ModelNotFoundError, PermissionDeniedError
from jupyter_mlx_gpt_oss.protocol.models import LoadRequest, ModelCard, ModelList, ModelState
from jupyter_mlx_gpt_oss.serving.background import Background


@dataclass(frozen=True, slots=True, kw_only=True)
class Models:
    """What `v1/models`, `v1/load` and `v1/unload` do.

    Args:
        engine: knows the model once it is loaded.
        model_name: the model as configured.
        created: seconds since 1970; when this server started.
        allowed: the models that may be loaded, the configured one among them; None: any.
    """

    engine: Engine
    model_name: str
    created: int
    allowed: Collection[str] | None = None

    def list(self) -> ModelList:
        """Return the one model as a list."""
        return ModelList(data=[self._card()])

    def card(self, model_id: str) -> ModelCard:
        """Return the card of a model.

        Raises:
            ModelNotFoundError: another model is served.
        """
        card = self._card()
        if model_id != card.id:
            message = f"The model {model_id[:100]!r} is not served here; {card.id!r} is."
            raise ModelNotFoundError(message, param="model")
        return card

    @staticmethod
    def read(body: bytes) -> LoadRequest:
        """Read a request to load a model; raises what `LoadRequest.from_json` raises."""
        return LoadRequest.from_json(body)

    def require_allowed(self, request: LoadRequest) -> None:
        """See that a model may be loaded.

        Raises:
            PermissionDeniedError: it may not.
        """
        if self.allowed is not None and request.model not in {None, *self.allowed}:
            message = "This model may not be loaded here; GptOssServing.allowed_models names those that may."
            raise PermissionDeniedError(message, param="model")

    async def load(
        self, loading: Coroutine[Any, Any, object], background: Background, *, patience_seconds: float
    ) -> ModelCard | ModelState:
        """Load a model, and return its card; or its state, where loading takes longer and goes on by itself.

        Args:
            loading: loads it.
            background: owns the loading, which no client that goes away ends.
            patience_seconds: how long a client waits for an answer.

        Raises:
            ModelLoadError, OutOfMemoryError, EngineDeadError: the model cannot be loaded.
        """
        task = background.start(loading)
        await asyncio.wait({task}, timeout=patience_seconds)
        if not task.done():
            return ModelState(model=self.model_name, state="loading")
        task.result()
        return self._card()

    async def unload(self) -> ModelState:
        """Give the model's memory back; answers that are being generated end with an error.

        Raises:
            PermissionDeniedError: there is but one model, which is nobody's to choose.
        """
        if self.allowed is not None and len(self.allowed) == 1:
            message = "The model may not be unloaded here: GptOssServing.allowed_models has no other."
            raise PermissionDeniedError(message)
        await self.engine.unload()
        return ModelState(model=self.model_name, state="unloaded")

    def _card(self) -> ModelCard:
        model = self.engine.status().model
        return ModelCard(
            id=model.name if model else self.model_name,
            created=self.created,
            context_length=model.context_length if model else None,
            quantization=model.quantization if model else None,
            demo=model.is_demo if model else self.model_name == "demo",
        )
