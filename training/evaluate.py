"""Print how often each skill succeeds on names, words and numbers that were never trained.

A try counts when every call and the final answer are exactly as expected, preambles included. A completion is valid
when openai-harmony parses it strictly and it ends in a final message or a call to a declared function.

Usage: python -m training.evaluate DIRECTORY [--tries 20] [--seed 1] [--skills NAME...] [--temperature 1.0]
"""

import argparse
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

from openai_harmony import HarmonyError, Message, Role

from training.conversation import Conversation, Effort, Step
from training.corpus import draw_conversation
from training.decoder import ENDS, Decoder
from training.render import FINAL_HEADER, START, is_from_tool, learned_steps, opening, prompt_text, step_text
from training.skills import SKILLS
from training.words import Draw, encode, encoding

_MAX_TOKENS = 900


@dataclass(slots=True)
class Tally:
    """Counts for one skill."""

    tries: int = 0
    right: int = 0
    completions: int = 0
    valid: int = 0
    num_tokens: int = 0
    failures: list[str] = field(default_factory=list)


class Evaluation:
    """Runs conversations and counts."""

    def __init__(self, decoder: Decoder, draw: Draw, temperature: float) -> None:
        self._decoder, self._draw, self._temperature = decoder, draw, temperature
        self.tallies: dict[str, Tally] = defaultdict(Tally)
        self.analysis_tokens: dict[Effort, list[int]] = defaultdict(list)

    def run(self, conversation: Conversation) -> None:
        """Answer the last turn, feeding the expected tool results, and compare."""
        tally = self.tallies[conversation.skill]
        tally.tries += 1
        prompt = prompt_text(self._draw, conversation)
        steps = learned_steps(conversation)
        failure = self._run_steps(tally, prompt, steps, conversation)
        if failure:
            tally.failures.append(failure)
        else:
            tally.right += 1

    def _run_steps(self, tally: Tally, prompt: str, steps: list[Step], conversation: Conversation) -> str:
        opened = opening(conversation)
        while steps:
            completion = self._complete(prompt + opened)
            tally.num_tokens += len(completion)
            tally.completions += 1
            if opened.endswith(FINAL_HEADER):
                completion = encode(FINAL_HEADER) + completion
            tally.valid += is_valid(completion, conversation)
            text = encoding().decode(completion)
            end = next((i + 1 for i, step in enumerate(steps) if is_from_tool(step)), len(steps))
            expected = [step for step in steps[:end] if not is_from_tool(step)]
            parts = text.split(START)
            self._note_analysis(parts, conversation.effort)
            wanted = [step_text(step) for step in expected if step.kind != "analysis"]
            if wanted != [part for part in parts if not part.startswith("<|channel|>analysis<|message|>")]:
                return f"{conversation.turns[-1].user!r}\n      got  {text[-300:]!r}\n      want {wanted}"
            prompt += text + step_text(steps[end - 1]) + START if is_from_tool(steps[end - 1]) else ""
            steps = steps[end:]
        return ""

    def _complete(self, prompt: str) -> list[int]:
        return self._decoder.complete(encode(prompt), max_tokens=_MAX_TOKENS, temperature=self._temperature)

    def _note_analysis(self, parts: list[str], effort: Effort) -> None:
        if parts[0].startswith("<|channel|>analysis<|message|>"):
            self.analysis_tokens[effort].append(len(encode(parts[0])) - 4)


def is_valid(completion: list[int], conversation: Conversation) -> bool:
    """Tell whether the tokens of a completion are valid Harmony and end as `conversation` allows."""
    if completion[-1] not in ENDS:
        return False
    try:
        messages = encoding().parse_messages_from_completion_tokens(completion, Role.ASSISTANT, strict=True)
    except HarmonyError:
        return False
    recipients = {f"functions.{tool.name}" for tool in conversation.tools} | (
        {"python"} if conversation.has_python else set()
    )
    *before, final = messages
    has_plain_start = all(
        message.recipient is None and message.channel in {"analysis", "commentary"} for message in before
    )
    return has_plain_start and _is_end(final, recipients)


def _is_end(message: Message, recipients: set[str]) -> bool:
    return message.channel == "final" if message.recipient is None else bool(message.recipient in recipients)


def print_row(skill: str, tallies: list[Tally]) -> None:
    """Print a row of the table, in Markdown."""
    right, tries = sum(tally.right for tally in tallies), sum(tally.tries for tally in tallies)
    valid, completions = sum(tally.valid for tally in tallies), sum(tally.completions for tally in tallies)
    print(f"| {skill} | {right}/{tries} ({right / tries:.0%}) | {valid}/{completions} |", flush=True)


def print_details(evaluation: Evaluation, num_failures: int) -> None:
    """Print how long the analysis was, and some failures of each skill."""
    for effort, lengths in sorted(evaluation.analysis_tokens.items()):
        print(f"reasoning effort {effort}: {sum(lengths) / len(lengths):.1f} tokens of analysis")
    for skill, tally in evaluation.tallies.items():
        for failure in tally.failures[:num_failures]:
            print(f"  {skill}: {failure}")


def main() -> None:
    """Evaluate."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--tries", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--skills", nargs="+", default=list(SKILLS))
    parser.add_argument("--temperature", type=float, default=0.0)
    parser.add_argument("--failures", type=int, default=2, help="failures to print for each skill")
    parser.add_argument("--full-head", action="store_true", help="score the whole vocabulary (slow)")
    parser.add_argument("--trained-words", action="store_true", help="draw the words of the corpus instead")
    options = parser.parse_args()
    draw = Draw(options.seed, is_held_out=not options.trained_words)
    evaluation = Evaluation(
        Decoder(options.directory, is_full_head=options.full_head), draw, options.temperature
    )
    started = time.monotonic()
    print("| skill | right | valid Harmony |\n|---|---|---|")
    for skill in options.skills:
        for _ in range(options.tries):
            evaluation.run(draw_conversation(draw, skill))
        print_row(skill, [evaluation.tallies[skill]])
    print_row("all", list(evaluation.tallies.values()))
    print_details(evaluation, options.failures)
    seconds = time.monotonic() - started
    print(f"{sum(t.num_tokens for t in evaluation.tallies.values())} tokens in {seconds:.0f} s")


if __name__ == "__main__":
    main()
