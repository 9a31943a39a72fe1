"""What a check is given: the engine, its model, what is known of the machine, and the answers to compare with."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from jupyter_mlx_gpt_oss.check.answer import Answer, Question, ask
from jupyter_mlx_gpt_oss.check.device import Device
from jupyter_mlx_gpt_oss.check.likeness import TOLERANCES, Tolerance
from jupyter_mlx_gpt_oss.check.prompts import ExactPrompts, Prompt, exact_prompts
from jupyter_mlx_gpt_oss.engine.base import Engine, ModelInfo

EXACT_TOKENS = 24
"""Length of the answers that are compared; with it a prompt of 127 tokens crosses the sliding window."""
_NUM_LOGPROBS = 5  # a near tie is one with the second, rarely the third

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rig:
    """The engine under test."""

    engine: Engine
    model: ModelInfo
    device: Device
    references: Mapping[Prompt, Answer]
    """The answer to each of `prompts`, computed alone and without a prefix cache."""
    bytes_per_token: int | None
    """Of weights that a decode step of one stream reads; None where the checkpoint's files are not known."""
    say: Say
    """Shows what a check is doing; forgotten once it has ended."""

    @property
    def prompts(self) -> ExactPrompts:
        """The prompts that have references."""
        return exact_prompts(self.model.vocabulary_size)

    @property
    def tolerance(self) -> Tolerance:
        """What rounding may do on this device."""
        return TOLERANCES[self.model.device if self.model.device in TOLERANCES else "gpu"]

    @property
    def max_tokens_per_second(self) -> float | None:
        """The most that one stream can reach: memory bandwidth over bytes per token; None where one is unknown."""
        bandwidth = self.bytes_per_second
        return bandwidth / self.bytes_per_token if bandwidth and self.bytes_per_token else None

    @property
    def bytes_per_second(self) -> float | None:
        """Of the memory that the model is in; None for a CPU, and for a chip that is not known."""
        return self.device.bytes_per_second if self.model.device != "cpu" else None

    async def answer(self, prompt: Prompt) -> Answer:
        """Return the answer to compare with the prompt's reference."""
        return await ask(self.engine, exact_question(prompt))

    async def plain_answer(self, prompt: Prompt) -> Answer:
        """Return it without log probabilities, as most answers are asked for: only then steps are begun ahead, or guessed."""
        return await ask(self.engine, Question(prompt=prompt, max_tokens=EXACT_TOKENS))


def exact_question(prompt: Prompt) -> Question:
    """Return how a reference, and what is compared with it, is asked for."""
    return Question(prompt=prompt, max_tokens=EXACT_TOKENS, num_logprobs=_NUM_LOGPROBS)


async def compute_references(engine: Engine, prompts: ExactPrompts, say: Say) -> dict[Prompt, Answer]:
    """Return the answer to every prompt, one after the other, by an engine that should keep nothing.

    Raises:
        GptOssError: as `Engine.generate`.
    """
    references = {}
    for number, prompt in enumerate(prompts.all, start=1):
        say(f"{number} of {len(prompts.all)} answers alone and cold")
        references[prompt] = await ask(engine, exact_question(prompt))
    return references
