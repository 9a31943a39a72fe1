"""Sampled tokens to OpenAI's `logprobs`."""

from collections.abc import Sequence

from jupyter_mlx_gpt_oss.protocol.chat_answers import ChoiceLogprobs, ContentLogprob, TopLogprob
from jupyter_mlx_gpt_oss.serving.content_tokens import SampledToken
from jupyter_mlx_gpt_oss.serving.token_names import token_name
from jupyter_mlx_gpt_oss.vocabulary import token_bytes

LEAST_LOGPROB = -9999.0
"""OpenAI's, for a token that was as good as impossible; JSON has no infinity."""


def choice_logprobs(tokens: Sequence[SampledToken]) -> ChoiceLogprobs | None:
    """Return the log probabilities of some tokens of the content; None without any."""
    if not tokens:
        return None
    return ChoiceLogprobs(content=[_content_logprob(token) for token in tokens], refusal=None)


def _content_logprob(token: SampledToken) -> ContentLogprob:
    sampled = _top_logprob(token.token_id, token.logprobs.logprob)
    top = [_top_logprob(token_id, logprob) for token_id, logprob in token.logprobs.top]
    return ContentLogprob(token=sampled.token, bytes=sampled.bytes, logprob=sampled.logprob, top_logprobs=top)


def _top_logprob(token_id: int, logprob: float) -> TopLogprob:
    return TopLogprob(
        token=token_name(token_id),
        bytes=list(token_bytes()[token_id]) or None,
        logprob=max(logprob, LEAST_LOGPROB),
    )
