"""One request while the worker has it: its tokens, how many are computed, and its caches."""

from collections.abc import Sequence as Tokens
from dataclasses import dataclass, field
from typing import Any

from jupyter_mlx_gpt_oss.engine.request import FinishReason, GenerationRequest


@dataclass(slots=True, eq=False)
class Sequence:
    """Prompt and output of one request. The scheduler moves it, the model step fills its caches."""

    request: GenerationRequest
    max_tokens: int
    """The request's, or what the context leaves."""
    caches: list[Any] = field(default_factory=list)
    """One cache of mlx-lm for each layer, empty until the first step; they hold num_computed tokens."""
    num_computed: int = 0
    token_ids: list[int] = field(init=False)
    """Prompt, then output."""

    def __post_init__(self) -> None:
        self.token_ids = list(self.request.prompt_token_ids)

    @property
    def num_prompt_tokens(self) -> int:
        """Tokens of the prompt."""
        return len(self.request.prompt_token_ids)

    @property
    def num_output_tokens(self) -> int:
        """Tokens generated so far."""
        return len(self.token_ids) - self.num_prompt_tokens

    @property
    def num_uncomputed(self) -> int:
        """Tokens whose keys and values are still to be computed; 1 while decoding."""
        return len(self.token_ids) - self.num_computed

    @property
    def output_token_ids(self) -> Tokens[int]:
        """Tokens generated so far."""
        return self.token_ids[self.num_prompt_tokens :]

    def append(self, token_id: int) -> FinishReason | None:
        """Add a sampled token; return why the answer ends with it, if it does."""
        self.token_ids.append(token_id)
        if token_id in self.request.stop_token_ids:
            return FinishReason.STOP
        if self.num_output_tokens >= self.max_tokens:
            return FinishReason.LENGTH
        return None
