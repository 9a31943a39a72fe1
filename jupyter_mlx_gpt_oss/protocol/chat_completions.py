"""The request of `POST v1/chat/completions`: every field is typed and checked, accepted, or refused by name.

Knows OpenAI's field names and their ranges. What a message or a tool means is read in `harmony/`.
Source: OpenAI's API reference for chat completions; fields of vLLM, OpenRouter and mlx-gpt-oss where noted.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from jupyter_mlx_gpt_oss.errors import InvalidRequestError
from jupyter_mlx_gpt_oss.protocol.field_rules import ACCEPTED_FIELDS, refuse_unserved_fields, validate_fields
from jupyter_mlx_gpt_oss.protocol.json_body import parse_json_object, without_lone_surrogates
from jupyter_mlx_gpt_oss.protocol.sampling_fields import MAX_TOP_LOGPROBS, SamplingFields, StrictFields

JsonObject = dict[str, Any]
ReasoningEffort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


class ReasoningOptions(StrictFields):
    """OpenRouter's way to ask for reasoning; `max_tokens` is accepted without effect."""

    effort: ReasoningEffort | None = None
    exclude: bool | None = None
    enabled: bool | None = None
    summary: str | None = None
    max_tokens: int | None = None


class ChatTemplateOptions(BaseModel):
    """vLLM's way to ask for an effort; other arguments of a template have no effect here."""

    model_config = ConfigDict(strict=True)

    reasoning_effort: ReasoningEffort | None = None


class ChatCompletionRequest(SamplingFields):
    """A checked request. Read efforts, limits and tools through the properties, which join their many names."""

    messages: Annotated[list[JsonObject], Field(min_length=1, fail_fast=True)]
    tools: Annotated[list[JsonObject], Field(fail_fast=True)] | None = None
    tool_choice: str | JsonObject | None = None
    parallel_tool_calls: bool | None = None
    functions: Annotated[list[JsonObject], Field(fail_fast=True)] | None = None
    function_call: str | JsonObject | None = None
    response_format: JsonObject | None = None
    reasoning_effort: ReasoningEffort | None = None
    reasoning: ReasoningOptions | None = None
    include_reasoning: bool | None = None
    chat_template_kwargs: ChatTemplateOptions | None = None
    continue_final_message: bool | None = None
    """vLLM's; default true: a last assistant message is continued. False: another turn begins behind it."""
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=MAX_TOP_LOGPROBS)] | None = None

    @classmethod
    def from_json(cls, body: bytes) -> Self:
        """Read a request's body.

        Raises:
            InvalidRequestError: not a JSON object, a field that is missing, unknown, of the wrong type or out of
                range; the field is named.
            UnsupportedFeatureError: a field of OpenAI's that is not served here.
        """
        fields = without_lone_surrogates(parse_json_object(body))
        refuse_unserved_fields(fields)
        request = validate_fields(cls, {key: fields[key] for key in fields if key not in ACCEPTED_FIELDS})
        _ = request.token_biases  # its keys are checked with all other fields, before anything is generated
        if request.top_logprobs and not request.logprobs:
            raise InvalidRequestError("`top_logprobs` needs `logprobs` to be true.", param="top_logprobs")
        return request

    @property
    def effort(self) -> ReasoningEffort:
        """How much the model reasons; the most direct of the three fields counts."""
        asked = [self.reasoning_effort]
        if self.reasoning is not None:
            asked += [self.reasoning.effort, "none" if self.reasoning.enabled is False else None]
        if self.chat_template_kwargs is not None:
            asked.append(self.chat_template_kwargs.reasoning_effort)
        return next((effort for effort in asked if effort is not None), "medium")

    @property
    def is_reasoning_hidden(self) -> bool:
        """Whether the answer leaves its reasoning out; it is generated and counted all the same."""
        return self.include_reasoning is False or (
            self.reasoning is not None and self.reasoning.exclude is True
        )

    @property
    def token_limit(self) -> int | None:
        """Tokens of the whole answer, reasoning included; None: what the context leaves."""
        return self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens

    @property
    def offered_tools(self) -> list[JsonObject]:
        """The tools, with legacy `functions` as tools."""
        return [
            *(self.tools or ()),
            *({"type": "function", "function": item} for item in self.functions or ()),
        ]

    @property
    def choice(self) -> str | JsonObject:
        """Which tools may or must be called, as `tool_choice`; `function_call` is the legacy name of it."""
        if self.tool_choice is None and isinstance(self.function_call, dict):
            return {"type": "function", "function": self.function_call}
        return next(
            (choice for choice in (self.tool_choice, self.function_call) if choice is not None), "auto"
        )

    @property
    def num_logprobs(self) -> int | None:
        """How many of the most likely tokens to tell in each place; None: no log probabilities at all."""
        return (self.top_logprobs or 0) if self.logprobs else None
