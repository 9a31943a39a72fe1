"""The fields that say how tokens are drawn and where an answer ends: the same in every route that generates one.

Source: OpenAI's API reference; `min_p`, `top_k` and the repetition penalty as vLLM and mlx-gpt-oss have them.
"""

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from jupyter_mlx_gpt_oss.errors import InvalidRequestError
from jupyter_mlx_gpt_oss.vocabulary import NUM_TOKENS

MAX_CHOICES = 8
MAX_STOP_STRINGS = 16
MAX_TOP_LOGPROBS = 20
Penalty = Annotated[float, Field(ge=-2, le=2)]


def _listed(value: object) -> object:
    """Return stop strings as a list, without those that are empty: they stop nothing."""
    listed = [value] if isinstance(value, str) else value
    return [each for each in listed if each != ""] if isinstance(listed, list) else listed


class StrictFields(BaseModel):
    """Fields of a body: an unknown one is refused, and no type is taken for another."""

    model_config = ConfigDict(extra="forbid", strict=True)


class StreamOptions(StrictFields):
    """What a stream carries besides the answer."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = None
    """Accepted without effect: there is no padding to leave out."""


class SamplingFields(StrictFields):
    """A base of requests."""

    model: str | None = None
    """Required by OpenAI's clients; any name is served by the one model there is."""
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    min_p: Annotated[float, Field(ge=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=-1)] | None = None
    """Accepted without effect, as in mlx-gpt-oss."""
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    repetition_penalty: Annotated[float, Field(gt=0, le=10)] | None = None
    repetition_context_size: Annotated[int, Field(ge=1)] | None = None
    logit_bias: dict[str, Annotated[float, Field(ge=-100, le=100)]] | None = None
    stop: (
        Annotated[
            list[str],
            Field(max_length=MAX_STOP_STRINGS),
            BeforeValidator(_listed, json_schema_input_type=str | list[str]),
        ]
        | None
    ) = None
    n: Annotated[int, Field(ge=1, le=MAX_CHOICES)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None

    @property
    def token_biases(self) -> dict[int, float]:
        """`logit_bias` by token id.

        Raises:
            InvalidRequestError: a key is not a token id.
        """
        biases = self.logit_bias or {}
        for key in biases:
            if not (key.isascii() and key.isdigit() and len(key) <= 6 and int(key) < NUM_TOKENS):  # noqa: PLR2004
                message = f"{key[:16]!r} is not a token id: 0 to {NUM_TOKENS - 1} were expected."
                raise InvalidRequestError(message, param="logit_bias")
        return {int(key): bias for key, bias in biases.items()}

    @property
    def is_usage_streamed(self) -> bool:
        """Whether a stream ends with a chunk of usage."""
        return self.stream_options is not None and self.stream_options.include_usage is True
