"""One request while the worker has it: its tokens, how many are computed, and its caches."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from jupyter_mlx_gpt_oss.engine.request import FinishReason, GenerationRequest
from jupyter_mlx_gpt_oss.worker.constraint import Constraint
from jupyter_mlx_gpt_oss.worker.kv_span import Snapshot

_MOST_PASSED = 8


@dataclass(slots=True, eq=False)
class Sequence:
    """Prompt and output of one request. The scheduler moves it, the model step fills its caches."""

    request: GenerationRequest
    max_tokens: int
    """The request's, or what the context leaves; 0: the prompt is read ahead, and nothing drawn."""
    constraint: Constraint | None = None
    """Where the answer stands in the request's grammar, if it has one."""
    caches: list[Any] = field(default_factory=list)
    """One cache of mlx-lm for each layer, empty until the sequence runs; they hold num_computed tokens."""
    num_computed: int = 0
    num_cached_tokens: int = 0
    """Prompt tokens that were found in the prefix cache and did not have to be computed."""
    replay_end: int = 0
    """Up to here tokens are computed again, to rebuild the sliding layers; 0: nowhere."""
    num_passed: int = 0
    """How many that came later have started before it, since there was no memory for it."""
    snapshots: dict[int, Snapshot] = field(default_factory=dict)
    """Taken so far, by position."""
    token_ids: list[int] = field(init=False)
    """Prompt, then output."""
    prompt_ids: npt.NDArray[np.int32] = field(init=False)
    output_counts: Counter[int] = field(init=False)
    """How often each token was generated."""
    head_context: tuple[int, ...] = field(init=False)
    """What a head that scores a part of the vocabulary goes by: the prompt, and tokens that are asked for by a bias."""

    def __post_init__(self) -> None:
        self.token_ids = [*self.request.prompt_token_ids, *self.request.output_token_ids]
        self.prompt_ids = np.asarray(self.request.prompt_token_ids, dtype=np.int32)
        self.output_counts = Counter(self.request.output_token_ids)
        biases = self.request.sampling.logit_bias.items()
        wanted = tuple(token_id for token_id, bias in biases if bias > 0)
        self.head_context = self.request.prompt_token_ids + wanted

    @property
    def is_passed_enough(self) -> bool:
        """Whether nobody who came later may start before it any more."""
        return self.num_passed >= _MOST_PASSED

    @property
    def is_read_ahead(self) -> bool:
        """Whether nobody asked for it yet."""
        return not self.max_tokens

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
    def is_decoding(self) -> bool:
        """Whether all but the last sampled token is computed."""
        return self.num_uncomputed == 1 and self.num_output_tokens > 0

    @property
    def num_next(self) -> int:
        """Tokens that one chunk may compute: up to the end of the replay, or all that are left."""
        is_replaying = self.num_computed < self.replay_end
        return self.replay_end - self.num_computed if is_replaying else self.num_uncomputed

    def append(self, token_id: int) -> FinishReason | None:
        """Add a sampled token; return why the answer ends with it, if it does.

        Raises:
            InvalidRequestError: the grammar has become too complex to go on.
        """
        self.token_ids.append(token_id)
        self.output_counts[token_id] += 1
        if self.constraint is not None:
            self.constraint.accept(token_id)
        if token_id in self.request.stop_token_ids:
            return FinishReason.STOP
        if self.num_output_tokens >= self.max_tokens:
            return FinishReason.LENGTH
        return None
