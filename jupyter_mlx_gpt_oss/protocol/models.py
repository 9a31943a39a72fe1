"""OpenAI's list of models and one model's card, with what this server adds: to load a model, and to unload it."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from jupyter_mlx_gpt_oss.protocol.field_rules import validate_fields
from jupyter_mlx_gpt_oss.protocol.json_body import parse_json_object, without_lone_surrogates


class ModelCard(BaseModel):
    """One model. `context_length` and `quantization` are null until the model was loaded once."""

    is_settled: ClassVar[bool] = True
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


class LoadRequest(BaseModel):
    """The body of `POST v1/load`, which may be empty."""

    model_config = ConfigDict(extra="forbid", strict=True)

    model: Annotated[str, Field(min_length=1, max_length=4096)] | None = None
    """`demo`, a directory of the server, or a Hugging Face id; None: the model that is configured."""

    @classmethod
    def from_json(cls, body: bytes) -> Self:
        """Read a request's body.

        Raises:
            InvalidRequestError: not a JSON object, an unknown field, or a model that is no name.
        """
        return validate_fields(cls, without_lone_surrogates(parse_json_object(body or b"{}")))


class ModelState(BaseModel):
    """Where the model is, while there is no card to show."""

    model: str
    state: Literal["loading", "unloaded"]

    @property
    def is_settled(self) -> bool:
        """Whether this is how it stays."""
        return self.state != "loading"
