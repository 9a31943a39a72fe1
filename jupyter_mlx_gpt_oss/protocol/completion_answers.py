"""The answers of `POST v1/completions`: chunks of a stream and the whole have one shape.

A field that was not set is left out; one set to None is written as null, as OpenAI does.
Source: OpenAI's API reference; `stop_reason` and token ids as vLLM has them.
"""

from typing import Literal

from jupyter_mlx_gpt_oss.protocol.chat_answers import PromptTokensDetails, WireModel


class CompletionUsage(WireModel):
    """Counts in tokens, of all prompts and all answers."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokensDetails


class CompletionLogprobs(WireModel):
    """One entry for each generated token, the one that ended the answer included; natural logarithms."""

    tokens: list[str]
    token_logprobs: list[float]
    top_logprobs: list[dict[str, float]]
    text_offset: list[int]
    """Characters of the text before the token."""


class CompletionChoice(WireModel):
    """One answer, or what a chunk adds to it; only the last chunk has a finish reason."""

    index: int
    """Of its prompt times `n`, plus which of the prompt's answers it is."""
    text: str
    logprobs: CompletionLogprobs | None
    finish_reason: Literal["stop", "length"] | None
    stop_reason: str | int | None
    """The stop string or the stop token of the request's that ended the answer, if one of them did."""
    token_ids: list[int] | None = None
    prompt_token_ids: list[int] | None = None


class Completion(WireModel):
    """One frame of a stream, or the whole answer, which equals what its stream adds up to."""

    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    system_fingerprint: str
    choices: list[CompletionChoice]
    usage: CompletionUsage | None = None
