"""The requests and answers of `POST v1/tokenize` and `POST v1/detokenize`.

Source: vLLM's tokenizer API; the fields of messages are those of a chat completion that shape its prompt.
"""

import json
from collections.abc import Sequence
from typing import Annotated, Self

from pydantic import Field
from typing_extensions import override

from jupyter_mlx_gpt_oss.errors import InvalidRequestError
from jupyter_mlx_gpt_oss.protocol.chat_answers import WireModel
from jupyter_mlx_gpt_oss.protocol.chat_completions import (
    ChatCompletionRequest,
    ChatTemplateOptions,
    JsonObject,
    ReasoningEffort,
    ReasoningOptions,
)
from jupyter_mlx_gpt_oss.protocol.completions import TokenId
from jupyter_mlx_gpt_oss.protocol.field_rules import validate_fields
from jupyter_mlx_gpt_oss.protocol.json_body import parse_json_object, without_lone_surrogates
from jupyter_mlx_gpt_oss.protocol.sampling_fields import StrictFields

ACCEPTED_FIELDS = frozenset({
    "add_special_tokens",  # there are none to add
})  # fmt: skip
"""Top-level fields that are taken without effect."""
MAX_PIECE_ITEMS = 10_000
"""Tokens that are written at once: Python's lock is held meanwhile, a few milliseconds."""
_OWN_FIELDS = {"prompt", "add_generation_prompt", "return_token_strs"}


class TokenizeRequest(StrictFields):
    """A checked request: of text, or of messages."""

    model: str | None = None
    """Any name is served by the one model there is."""
    prompt: str | None = None
    """Text, in which nothing is a control token."""
    messages: Annotated[list[JsonObject], Field(min_length=1, fail_fast=True)] | None = None
    tools: list[JsonObject] | None = None
    tool_choice: str | JsonObject | None = None
    functions: list[JsonObject] | None = None
    function_call: str | JsonObject | None = None
    response_format: JsonObject | None = None
    reasoning_effort: ReasoningEffort | None = None
    reasoning: ReasoningOptions | None = None
    chat_template_kwargs: ChatTemplateOptions | None = None
    continue_final_message: bool | None = None
    add_generation_prompt: bool | None = None
    """Default true: the prompt ends with the beginning of the answer."""
    return_token_strs: bool | None = None

    @classmethod
    def from_json(cls, body: bytes) -> Self:
        """Read a request's body.

        Raises:
            InvalidRequestError: not a JSON object, a field that is unknown or of the wrong type, or not one of `prompt`
                and `messages`; the field is named.
        """
        fields = without_lone_surrogates(parse_json_object(body))
        request = validate_fields(cls, {key: fields[key] for key in fields if key not in ACCEPTED_FIELDS})
        if (request.prompt is None) == (request.messages is None):
            raise InvalidRequestError("Either `prompt` or `messages` is needed.", param="prompt")
        return request

    @property
    def chat(self) -> ChatCompletionRequest | None:
        """The chat completion whose prompt is asked for; None: a text's tokens are."""
        if self.messages is None:
            return None
        return ChatCompletionRequest(**self.model_dump(exclude=_OWN_FIELDS, exclude_unset=True))


class Tokens(WireModel):
    """The tokens of a text or of a prompt."""

    count: int
    max_model_len: int | None
    """Tokens of prompt and answer together; null until the model was loaded."""
    tokens: list[int]
    token_strs: list[str] | None = None
    """Each token as text, a control token by its name and a piece of a character as U+FFFD."""

    @override
    def to_json(self) -> str:
        """Return one line of JSON; takes a second for millions of tokens, and is called in a thread."""
        head = self.model_dump_json(include={"count", "max_model_len"})
        strs = "" if self.token_strs is None else f',"token_strs":{_array(self.token_strs)}'
        return f'{head[:-1]},"tokens":{_array(self.tokens)}{strs}}}'


class DetokenizeRequest(StrictFields):
    """A checked request."""

    model: str | None = None
    tokens: Annotated[list[TokenId], Field(fail_fast=True)]

    @classmethod
    def from_json(cls, body: bytes) -> Self:
        """Read a request's body.

        Raises:
            InvalidRequestError: not a JSON object, a field that is unknown or missing, or no token id; it is named.
        """
        return validate_fields(cls, without_lone_surrogates(parse_json_object(body)))


class Text(WireModel):
    """The text of some tokens; control tokens are written out."""

    prompt: str


def _array(items: Sequence[int | str]) -> str:
    starts = range(0, len(items), MAX_PIECE_ITEMS)
    pieces = (json.dumps(items[start : start + MAX_PIECE_ITEMS], separators=(",", ":")) for start in starts)
    return f"[{','.join(piece[1:-1] for piece in pieces)}]"
