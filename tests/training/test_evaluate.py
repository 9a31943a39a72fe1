import pytest
from typing_extensions import override

from training.conversation import Conversation
from training.corpus import draw_conversation
from training.decoder import Decoder
from training.evaluate import Evaluation
from training.render import START, is_from_tool, learned_steps, opening, step_text
from training.skills import SKILLS
from training.words import Draw, encode


class Recited(Decoder):
    """A model that answers what it was given beforehand."""

    def __init__(self, completions: list[str]) -> None:
        self._completions = list(completions)

    @override
    def complete(
        self, prompt_token_ids: list[int], *, max_tokens: int, temperature: float = 0.0
    ) -> list[int]:
        return encode(self._completions.pop(0))


def _completions(conversation: Conversation) -> list[str]:
    """Return what the corpus teaches the model to write, one text for each time that it is its turn."""
    turns: list[list[str]] = [[]]
    for step in learned_steps(conversation):
        if is_from_tool(step):
            turns.append([])
        else:
            turns[-1].append(step_text(step))
    header = opening(conversation).rpartition(START)[2]
    return [START.join(parts).removeprefix(header) for parts in turns]


def _evaluated(draw: Draw, conversation: Conversation, completions: list[str]) -> Evaluation:
    evaluation = Evaluation(Recited(completions), draw, temperature=0.0)
    evaluation.run(conversation)
    return evaluation


@pytest.mark.parametrize("skill", SKILLS)
def test_what_the_corpus_teaches_is_valid_and_right(skill: str) -> None:
    draw = Draw(1)
    for _ in range(5):
        conversation = draw_conversation(draw, skill)
        completions = _completions(conversation)
        tally = _evaluated(draw, conversation, completions).tallies[skill]
        assert (tally.right, tally.valid) == (1, len(completions)), tally.failures


@pytest.mark.parametrize(
    ("spoilt", "num_valid"),
    [
        (("<|return|>", ".<|return|>"), 1),
        (("<|return|>", ""), 0),
        (("<|channel|>final<|message|>", ""), 0),
        (("<|channel|>final", "<|channel|>commentary to=functions.no_such_tool"), 0),
    ],
)
def test_another_answer_is_not_right_and_a_broken_one_not_valid(
    spoilt: tuple[str, str], num_valid: int
) -> None:
    draw = Draw(1)
    conversation = draw_conversation(draw, "sum")
    completions = [text.replace(*spoilt) for text in _completions(conversation)]
    tally = _evaluated(draw, conversation, completions).tallies["sum"]
    assert (tally.right, tally.valid, tally.completions) == (0, num_valid, 1)
    assert conversation.turns[-1].user in tally.failures[0]
