"""Generate with the unfolded model through mlx-lm, greedily or by sampling.

The whole head costs most of the time on a CPU, so greedy decoding may score candidates alone: the trained rows, all
twins of the prompt's tokens, and some thousand random rows that could spoil an answer.
"""

from pathlib import Path

import mlx.core as mx
import numpy as np
import numpy.typing as npt
from mlx_lm.utils import load_model

from jupyter_mlx_gpt_oss.demo import base_token_ids, trained_token_ids
from jupyter_mlx_gpt_oss.vocabulary import SPECIAL_TOKENS

ENDS = frozenset({SPECIAL_TOKENS["<|return|>"], SPECIAL_TOKENS["<|call|>"], SPECIAL_TOKENS["<|endoftext|>"]})
_NUM_RANDOM_ROWS = 4096


class Decoder:
    """A loaded model.

    Args:
        directory: an unfolded checkpoint.
        is_full_head: score all 201,088 rows.
    """

    def __init__(self, directory: Path, *, is_full_head: bool = False) -> None:
        mx.set_default_device(mx.cpu)
        self._model, _ = load_model(directory)
        self._is_full_head = is_full_head
        random_rows = np.random.default_rng(0).choice(199_998, _NUM_RANDOM_ROWS)
        self._standing_rows = np.union1d(trained_token_ids(), random_rows)
        self._standing_weight = self._head_rows(self._standing_rows)

    def _head_rows(self, rows: npt.NDArray[np.int64]) -> mx.array:
        head, index = self._model.lm_head, mx.array(rows)
        return mx.dequantize(
            head.weight[index], head.scales[index], head.biases[index], group_size=64, bits=8
        )

    def complete(
        self, prompt_token_ids: list[int], *, max_tokens: int, temperature: float = 0.0
    ) -> list[int]:
        """Return the completion's token ids, its end included if it came."""
        rows, weight = self._candidates(prompt_token_ids)
        cache = self._model.make_cache()
        completion: list[int] = []
        token_ids = prompt_token_ids
        while len(completion) < max_tokens:
            state = self._model.model(mx.array([token_ids]), cache)[:, -1]
            logits = (self._model.lm_head(state) if weight is None else state @ weight.T)[0]
            choice = mx.random.categorical(logits / temperature) if temperature else mx.argmax(logits)
            token_id = int(rows[np.asarray(choice).item()])
            completion.append(token_id)
            if token_id in ENDS:
                break
            token_ids = [token_id]
        return completion

    def _candidates(self, prompt_token_ids: list[int]) -> tuple[npt.NDArray[np.int64], mx.array | None]:
        base_ids = base_token_ids()
        if self._is_full_head:
            return np.arange(len(base_ids)), None
        twins = np.nonzero(np.isin(base_ids, base_ids[np.unique(prompt_token_ids)]))[0]
        rows = np.concatenate([self._standing_rows, twins])
        return rows, mx.concatenate([self._standing_weight, self._head_rows(twins)])
