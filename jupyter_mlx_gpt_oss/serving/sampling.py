"""What a request says of how tokens are drawn, to the parameters that the engine takes."""

from jupyter_mlx_gpt_oss.engine.sampling import SamplingParams
from jupyter_mlx_gpt_oss.protocol.sampling_fields import SamplingFields

_COLDEST = 1e-5  # below it logits over a temperature leave what a float32 holds; vLLM has the same
_NUM_SEEDS = 2**64  # OpenAI's seed is signed, a random state's is not
_FIELDS = {
    "temperature",
    "top_p",
    "min_p",
    "presence_penalty",
    "frequency_penalty",
    "repetition_penalty",
    "repetition_context_size",
}


def sampling_of(request: SamplingFields, index: int) -> SamplingParams:
    """Return the sampling parameters of one choice: GPT-OSS's own where the request says nothing, and its own seed."""
    asked = request.model_dump(include=_FIELDS, exclude_none=True)
    if asked.get("temperature", 1.0) < _COLDEST:
        asked["temperature"] = 0.0
    seed = None if request.seed is None else (request.seed + index) % _NUM_SEEDS
    return SamplingParams(**asked, seed=seed, logit_bias=request.token_biases)
