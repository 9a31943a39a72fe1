"""The embedded model: a tiny GPT-OSS with trained weights, unfolded into a checkpoint when it is first used.

Turns one file of the package into a directory that mlx-lm loads. Knows no MLX, no requests and no Harmony messages.
"""

from jupyter_mlx_gpt_oss.demo.codes import base_token_ids
from jupyter_mlx_gpt_oss.demo.compact import trained_token_ids
from jupyter_mlx_gpt_oss.demo.unfold import cached_checkpoint, unfold

__all__ = ["base_token_ids", "cached_checkpoint", "trained_token_ids", "unfold"]
