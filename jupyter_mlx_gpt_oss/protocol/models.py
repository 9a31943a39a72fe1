"""OpenAI's list of models and one model's card, with what this server adds."""

from typing import Literal

from pydantic import BaseModel


class ModelCard(BaseModel):
    """One model. `context_length` and `quantization` are null until the model was loaded once."""

    id: str
    object: Literal["model"] = "model"
    created: int
    """Seconds since 1970; when this server started."""
    owned_by: Literal["jupyter-mlx-gpt-oss"] = "jupyter-mlx-gpt-oss"
    context_length: int | None
    """Tokens of prompt and answer together."""
    quantization: str | None
    demo: bool
    """Whether this is the small embedded model, which shows that everything works and knows little."""


class ModelList(BaseModel):
    """All models that this server serves: one."""

    object: Literal["list"] = "list"
    data: list[ModelCard]
