"""The request of `POST v1/responses`: every field of OpenAI's is typed and checked, accepted, or refused by name.

What an item means is read in `serving/response_items.py`.
Source: OpenAI's API reference for responses; `ResponseCreateParams` of the openai package.
"""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field

from jupyter_mlx_gpt_oss.protocol.chat_completions import JsonObject, ReasoningEffort
from jupyter_mlx_gpt_oss.protocol.field_rules import refuse_unserved_fields, validate_fields
from jupyter_mlx_gpt_oss.protocol.json_body import parse_json_object, without_lone_surrogates
from jupyter_mlx_gpt_oss.protocol.sampling_fields import MAX_TOP_LOGPROBS, StreamOptions, StrictFields

LOGPROBS = "message.output_text.logprobs"
Includable = Literal[
    "file_search_call.results",
    "web_search_call.results",
    "web_search_call.action.sources",
    "message.input_image.image_url",
    "computer_call_output.output.image_url",
    "code_interpreter_call.outputs",
    "reasoning.encrypted_content",
    "message.output_text.logprobs",
]
Summary = Literal["auto", "concise", "detailed"]

ACCEPTED_FIELDS = frozenset({
    "client_metadata",  # Codex's
    "max_tool_calls",  # of tools that OpenAI's server calls by itself
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "safety_identifier",
    "service_tier",
    "user",
})  # fmt: skip
"""Top-level fields that are taken without effect."""
REFUSED_FIELDS: Mapping[str, tuple[object, ...]] = {
    "access_programs": (None,),
    "background": (None, False),
    "background_options": (None,),
    "context_management": (None,),
    "conversation": (None,),
    "image": (None,),
    "moderation": (None,),
    "prompt": (None,),
}
"""Fields that are refused, with the values that ask for nothing."""


class ReasoningConfig(StrictFields):
    """How much to reason. All but the effort is without effect: the reasoning itself is given, so nothing sums it up."""

    effort: ReasoningEffort | None = None
    summary: Summary | None = None
    generate_summary: Summary | None = None
    context: str | None = None
    mode: str | None = None


class TextConfig(StrictFields):
    """The format of the text; `verbosity` is without effect."""

    format: JsonObject | None = None
    verbosity: Literal["low", "medium", "high"] | None = None


class ResponsesRequest(StrictFields):
    """A checked request."""

    model: str | None = None
    """Any name is served by the one model there is."""
    input: str | Annotated[list[JsonObject], Field(fail_fast=True)] | None = None
    instructions: str | None = None
    previous_response_id: str | None = None
    store: bool | None = None
    tools: Annotated[list[JsonObject], Field(fail_fast=True)] | None = None
    tool_choice: str | JsonObject | None = None
    parallel_tool_calls: bool | None = None
    text: TextConfig | None = None
    reasoning: ReasoningConfig | None = None
    max_output_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=MAX_TOP_LOGPROBS)] | None = None
    include: list[Includable] | None = None
    truncation: Literal["auto", "disabled"] | None = None
    metadata: dict[str, str] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None

    @classmethod
    def from_json(cls, body: bytes) -> Self:
        """Read a request's body.

        Raises:
            InvalidRequestError: not a JSON object, a field that is unknown, of the wrong type or out of range; the field
                is named.
            UnsupportedFeatureError: a field of OpenAI's that is not served here.
        """
        fields = without_lone_surrogates(parse_json_object(body))  # most of them stand in the answer again
        refuse_unserved_fields(fields, REFUSED_FIELDS)
        skipped = ACCEPTED_FIELDS | REFUSED_FIELDS.keys()
        return validate_fields(cls, {key: value for key, value in fields.items() if key not in skipped})

    @property
    def items(self) -> list[JsonObject]:
        """The input as items."""
        if isinstance(self.input, str):
            return [{"type": "message", "role": "user", "content": self.input}]
        return self.input or []

    @property
    def effort(self) -> ReasoningEffort:
        """How much the model reasons."""
        return (self.reasoning.effort if self.reasoning else None) or "medium"

    @property
    def has_logprobs(self) -> bool:
        """Whether the text comes with log probabilities."""
        return LOGPROBS in (self.include or ()) or bool(self.top_logprobs)

    @property
    def is_stored(self) -> bool:
        """Whether the response is kept."""
        return self.store is not False
