"""How the next token is drawn: the parameters of one request. Knows no wire format and no arrays."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplingParams:
    """Sampling parameters of one request; the defaults are GPT-OSS's own (openai/gpt-oss README)."""

    temperature: float = 1.0
    """0 takes the most likely token."""
    top_p: float = 1.0
    """Keep the smallest set of tokens whose probabilities add up to this; (0, 1]."""
    min_p: float = 0.0
    """Keep tokens at least this fraction as likely as the most likely one; [0, 1]."""
    seed: int | None = None
    """Same seed, same request: same tokens, whatever else is running."""
    presence_penalty: float = 0.0
    """Subtracted once from the logit of every token already generated; [-2, 2]."""
    frequency_penalty: float = 0.0
    """Subtracted from a token's logit for each time it was generated; [-2, 2]."""
    repetition_penalty: float = 1.0
    """Divides the logits of the last tokens (multiplies negative ones); 1 is off."""
    repetition_context_size: int = 20
    """How many of the last tokens, prompt included, repetition_penalty looks at."""
    logit_bias: Mapping[int, float] = field(default_factory=dict)
    """Added to the logits of these token ids; [-100, 100]."""
