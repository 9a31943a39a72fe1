"""The model that is served, as OpenAI's list and card. Works while nothing is loaded."""

from dataclasses import dataclass

from jupyter_mlx_gpt_oss.engine.base import Engine
from jupyter_mlx_gpt_oss.errors import ModelNotFoundError
from jupyter_mlx_gpt_oss.protocol.models import ModelCard, ModelList


@dataclass(frozen=True, slots=True, kw_only=True)
class Models:
    """What `v1/models` does.

    Args:
        engine: knows the model once it is loaded.
        model_name: the model as configured.
        created: seconds since 1970; when this server started.
    """

    engine: Engine
    model_name: str
    created: int

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

    def _card(self) -> ModelCard:
        model = self.engine.status().model
        return ModelCard(
            id=model.name if model else self.model_name,
            created=self.created,
            context_length=model.context_length if model else None,
            quantization=model.quantization if model else None,
            demo=model.is_demo if model else self.model_name == "demo",
        )
