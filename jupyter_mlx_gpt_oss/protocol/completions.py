"""The request of `POST v1/completions`: raw text or token ids in, raw text and, if asked for, token ids out.

Source: OpenAI's API reference for completions; vLLM's `CompletionRequest` for token ids and structured outputs.
"""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field

from jupyter_mlx_gpt_oss.errors import InvalidRequestError, UnsupportedFeatureError
from jupyter_mlx_gpt_oss.protocol.chat_completions import JsonObject
from jupyter_mlx_gpt_oss.protocol.field_rules import refuse_unserved_fields, validate_fields
from jupyter_mlx_gpt_oss.protocol.json_body import parse_json_object, without_lone_surrogates
from jupyter_mlx_gpt_oss.protocol.sampling_fields import MAX_TOP_LOGPROBS, SamplingFields, StrictFields
from jupyter_mlx_gpt_oss.vocabulary import NUM_TOKENS

DEFAULT_MAX_TOKENS = 16
"""OpenAI's and vLLM's."""
MAX_ANSWERS = 64
"""Prompts times `n`."""
MAX_STOP_TOKENS = 64

TokenId = Annotated[int, Field(ge=0, lt=NUM_TOKENS)]
# A wrong list would else give one error for each of its items, in each branch.
TokenIds = Annotated[list[TokenId], Field(min_length=1, fail_fast=True)]
PromptField = (
    TokenIds
    | Annotated[list[TokenIds], Field(min_length=1, fail_fast=True)]
    | str
    | Annotated[list[str], Field(min_length=1, fail_fast=True)]
)
Prompt = str | list[int]

ACCEPTED_FIELDS = frozenset({
    "add_special_tokens",  # there are none to add
    "cache_salt",
    "priority",
    "request_id",
    "return_token_offsets",  # of another route of vLLM's
    "spaces_between_special_tokens",
})  # fmt: skip
"""Top-level fields that are taken without effect."""
REFUSED_FIELDS: Mapping[str, tuple[object, ...]] = {
    "allowed_token_ids": (None,),
    "bad_words": (None, []),
    "ec_transfer_params": (None,),
    "include_stop_str_in_output": (None, False),
    "kv_transfer_params": (None,),
    "length_penalty": (None, 1, 1.0),
    "logprob_token_ids": (None,),
    "min_tokens": (None, 0),
    "prompt_embeds": (None,),
    "prompt_logprobs": (None,),
    "repetition_detection": (None,),
    "suffix": (None,),
    "thinking_token_budget": (None,),
    "truncate_prompt_tokens": (None,),
    "truncation_side": (None,),
    "use_beam_search": (None, False),
    "vllm_xargs": (None,),
}
"""Fields of OpenAI's and vLLM's that are refused, with the values that ask for nothing."""


class JsonSchemaFormat(StrictFields):
    """OpenAI's way to give a schema."""

    schema_: JsonObject = Field(alias="schema")
    name: str | None = None
    description: str | None = None
    strict: bool | None = None


class ResponseFormat(StrictFields):
    """OpenAI's way to ask for JSON."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchemaFormat | None = None


class StructuredOutputs(StrictFields):
    """vLLM's way to hold the whole text to something: one of the first five."""

    json_schema: JsonObject | str | None = Field(default=None, alias="json")
    """A JSON schema, or the text of one."""
    regex: str | None = None
    choice: Annotated[list[str], Field(min_length=1, max_length=1024)] | None = None
    grammar: str | None = None
    """Lark, as llguidance reads it."""
    json_object: bool | None = None
    disable_any_whitespace: bool | None = None
    """JSON without white space."""
    disable_additional_properties: Literal[False] | None = None
    whitespace_pattern: None = None
    structural_tag: None = None


class CompletionRequest(SamplingFields):
    """A checked request."""

    prompt: Annotated[PromptField, Field(union_mode="left_to_right")] | None = None
    """Text, in which nothing is a control token; or token ids, of which any may be one. One, or a list of them."""
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    best_of: Annotated[int, Field(ge=1)] | None = None
    echo: bool | None = None
    logprobs: Annotated[int, Field(ge=0, le=MAX_TOP_LOGPROBS)] | None = None
    stop_token_ids: Annotated[list[TokenId], Field(max_length=MAX_STOP_TOKENS)] | None = None
    """Besides the tokens that end a turn of GPT-OSS's."""
    ignore_eos: bool | None = None
    """Only `stop_token_ids` end the answer."""
    skip_special_tokens: bool | None = None
    """Default true: control tokens are left out of the text. False: they are written out."""
    return_token_ids: bool | None = None
    return_tokens_as_token_ids: bool | None = None
    user: str | None = None
    """Whom a caller with the scoped key asks for: people take turns where requests wait."""
    response_format: ResponseFormat | None = None
    structured_outputs: StructuredOutputs | None = None

    @classmethod
    def from_json(cls, body: bytes) -> Self:
        """Read a request's body.

        Raises:
            InvalidRequestError: not a JSON object, a field that is unknown, of the wrong type or out of range; the field
                is named.
            UnsupportedFeatureError: a field of OpenAI's or vLLM's that is not served here.
        """
        fields = without_lone_surrogates(parse_json_object(body))
        refuse_unserved_fields(fields, REFUSED_FIELDS)
        skipped = ACCEPTED_FIELDS | REFUSED_FIELDS.keys()
        request = validate_fields(cls, {key: value for key, value in fields.items() if key not in skipped})
        _check_together(request)
        return request

    @property
    def prompts(self) -> list[Prompt]:
        """Every prompt; `["a", "b"]` are two, `[1, 2]` is one."""
        prompt = self.prompt
        if prompt is None or isinstance(prompt, str):
            return [prompt or ""]
        token_ids = [item for item in prompt if isinstance(item, int)]
        return [token_ids] if token_ids else [item for item in prompt if not isinstance(item, int)]

    @property
    def token_limit(self) -> int:
        """Tokens of one answer."""
        return self.max_tokens or DEFAULT_MAX_TOKENS


def _check_together(request: CompletionRequest) -> None:
    _ = request.token_biases  # its keys are checked with all other fields, before anything is generated
    num_answers = len(request.prompts) * (request.n or 1)
    if num_answers > MAX_ANSWERS:
        message = f"{num_answers} answers were asked for; prompts times n may be {MAX_ANSWERS}."
        raise InvalidRequestError(message, param="prompt")
    if request.best_of not in {None, request.n or 1}:
        raise UnsupportedFeatureError("`best_of` is not served here but as `n`.", param="best_of")
    if request.echo and request.logprobs is not None:
        raise UnsupportedFeatureError(
            "`echo` is not served here with `logprobs`: prompts have none.", param="echo"
        )
    _check_structure(request)


def _check_structure(request: CompletionRequest) -> None:
    asked, format_ = request.structured_outputs, request.response_format
    if format_ is not None and (format_.type == "json_schema") != (format_.json_schema is not None):
        message = "`response_format.json_schema` belongs to the type json_schema."
        raise InvalidRequestError(message, param="response_format.json_schema")
    if asked is None:
        return
    kinds = (asked.json_schema, asked.regex, asked.choice, asked.grammar, asked.json_object or None)
    if sum(kind is not None for kind in kinds) != 1:
        message = "`structured_outputs` needs one of json, regex, choice, grammar and json_object."
        raise InvalidRequestError(message, param="structured_outputs")
    if format_ is not None and format_.type != "text":
        message = "`structured_outputs` and `response_format` cannot both be held to."
        raise InvalidRequestError(message, param="structured_outputs")
