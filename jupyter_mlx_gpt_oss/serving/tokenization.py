"""Text and messages to token ids, and token ids to text. Works while no model is loaded: all have one vocabulary."""

from dataclasses import dataclass

from jupyter_mlx_gpt_oss.engine.base import Engine
from jupyter_mlx_gpt_oss.harmony.prompt_parts import encode_sections
from jupyter_mlx_gpt_oss.protocol.tokenize import DetokenizeRequest, Text, TokenizeRequest, Tokens
from jupyter_mlx_gpt_oss.serving.chat_prompt import ChatPrompts
from jupyter_mlx_gpt_oss.serving.raw_generation import RawText
from jupyter_mlx_gpt_oss.serving.token_names import token_name


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokenization:
    """What `v1/tokenize` and `v1/detokenize` do for one caller. Its methods may take long, and are called in a thread.

    Args:
        engine: knows the context's length once the model is loaded.
        prompts: renders the caller's prompts, as for a chat completion.
    """

    engine: Engine
    prompts: ChatPrompts

    def tokenize(self, body: bytes) -> Tokens:
        """Return the tokens of a text, or of the prompt that a chat completion with the same fields has.

        Raises:
            InvalidRequestError: what `TokenizeRequest.from_json` and `render_prompt` raise.
            RequestTooLargeError: the text is beyond the limits.
        """
        request = TokenizeRequest.from_json(body)
        token_ids = self._token_ids(request)
        model = self.engine.status().model
        tokens = Tokens(
            count=len(token_ids),
            max_model_len=model.context_length if model else None,
            tokens=token_ids,
        )
        if request.return_token_strs:
            tokens.token_strs = [token_name(token_id) for token_id in token_ids]
        return tokens

    @staticmethod
    def detokenize(body: bytes) -> Text:
        """Return the text of tokens; raises what `DetokenizeRequest.from_json` raises."""
        request = DetokenizeRequest.from_json(body)
        text = RawText(shows_control_tokens=True)
        return Text(prompt="".join(map(text.feed, request.tokens)) + text.flush())

    def _token_ids(self, request: TokenizeRequest) -> list[int]:
        chat = request.chat
        if chat is None:
            (token_ids,) = encode_sections([[request.prompt or ""]], self.prompts.limits, param="prompt")
            return token_ids
        prompt = self.prompts.prompt(chat)
        is_whole = request.add_generation_prompt is not False
        return list(prompt.token_ids if is_whole else prompt.token_ids[: prompt.num_history_tokens])
