"""The pieces of one raw answer to what its chunks say."""

from collections.abc import Sequence

from jupyter_mlx_gpt_oss.errors import GenerationError
from jupyter_mlx_gpt_oss.protocol.completion_answers import CompletionChoice, CompletionLogprobs
from jupyter_mlx_gpt_oss.protocol.completions import CompletionRequest
from jupyter_mlx_gpt_oss.serving.chat_logprobs import LEAST_LOGPROB
from jupyter_mlx_gpt_oss.serving.raw_generation import RawPiece, RawText, RawToken
from jupyter_mlx_gpt_oss.serving.token_names import token_name


class CompletionWriter:
    """Writes one choice of a stream, from its first piece to its last. To make it decodes a prompt that is echoed.

    Args:
        index: of the choice.
        request: what the chunks should have in them.
        prompt_token_ids: of this choice's prompt.
    """

    def __init__(self, index: int, request: CompletionRequest, prompt_token_ids: Sequence[int]) -> None:
        self._index = index
        self._request = request
        self._prompt_token_ids = prompt_token_ids
        self._echo = self._prompt_text() if request.echo else ""
        self._is_begun = False

    def write(self, piece: RawPiece) -> CompletionChoice | None:
        """Return what a chunk says of a piece; None: nothing."""
        request = self._request
        is_first, self._is_begun = not self._is_begun, True
        text = self._echo + piece.text if is_first else piece.text
        is_told = piece.tokens and (request.return_token_ids or request.logprobs is not None)
        if not (text or is_first or is_told or piece.finish_reason):
            return None
        choice = CompletionChoice(
            index=self._index,
            text=text,
            logprobs=None if request.logprobs is None else self._logprobs(piece.tokens),
            finish_reason=piece.finish_reason,
            stop_reason=self._stop_reason(piece),
        )
        if request.return_token_ids:
            choice.token_ids = [token.token_id for token in piece.tokens]
            if is_first:
                choice.prompt_token_ids = list(self._prompt_token_ids)
        return choice

    def _stop_reason(self, piece: RawPiece) -> str | int | None:
        reason = piece.stop_reason
        is_asked_for = isinstance(reason, str) or reason in (self._request.stop_token_ids or ())
        return reason if is_asked_for else None

    def _prompt_text(self) -> str:
        if self._request.prompt is None or self._request.prompt == "":
            return ""
        text = RawText(shows_control_tokens=self._request.skip_special_tokens is False)
        return "".join(map(text.feed, self._prompt_token_ids)) + text.flush()

    def _logprobs(self, tokens: Sequence[RawToken]) -> CompletionLogprobs:
        logprobs = CompletionLogprobs(tokens=[], token_logprobs=[], top_logprobs=[], text_offset=[])
        for token in tokens:
            if token.logprobs is None:
                raise GenerationError("The engine gave no log probability for a token; send it again.")
            logprobs.tokens.append(self._name(token.token_id))
            logprobs.token_logprobs.append(max(token.logprobs.logprob, LEAST_LOGPROB))
            top = ((self._name(token_id), max(each, LEAST_LOGPROB)) for token_id, each in token.logprobs.top)
            logprobs.top_logprobs.append(dict(top))
            logprobs.text_offset.append(token.text_offset)
        return logprobs

    def _name(self, token_id: int) -> str:
        return f"token_id:{token_id}" if self._request.return_tokens_as_token_ids else token_name(token_id)
