"""The engine against itself: answers must not depend on company, on what was kept, or on what went before.

Every answer is compared with the same prompt's answer computed alone, by a process that keeps nothing.
"""

import asyncio
import time
from collections.abc import Callable, Iterable

from jupyter_mlx_gpt_oss.check.answer import Answer, Question, ask
from jupyter_mlx_gpt_oss.check.likeness import Likeness, compare
from jupyter_mlx_gpt_oss.check.prompts import Prompt
from jupyter_mlx_gpt_oss.check.result import CheckResult, Status
from jupyter_mlx_gpt_oss.check.rig import Rig
from jupyter_mlx_gpt_oss.engine.request import FinishReason

_DECODED_BEFORE_ABORT = 3
_NEVER_REACHED = 2048  # tokens of an answer that is aborted


async def check_batched(rig: Rig) -> CheckResult:
    """Compare answers computed together, with log probabilities and without, with the same ones computed alone."""
    prompts = rig.prompts.all
    pairs: list[tuple[Prompt, Answer]] = []
    for answer in (rig.answer, rig.plain_answer):
        rig.say(f"{len(prompts)} answers together")
        pairs += zip(prompts, await asyncio.gather(*map(answer, prompts)), strict=True)
    return _judge(rig, "batched", "computed together", pairs)


async def check_cached(rig: Rig) -> CheckResult:
    """Compare answers that go on from kept prompts with cold ones."""
    base, continuation = rig.prompts.base, rig.prompts.continuation
    await rig.answer(base)
    rig.say("the same prompt again, a longer one, the first once more")
    # Twice, because an answer that goes on from what is kept must not change it.
    pairs = [(prompt, await rig.answer(prompt)) for prompt in (base, continuation, base)]
    result = _judge(rig, "cached", "continued from the prefix cache", pairs)
    num_cached = min(answer.num_cached_tokens for _, answer in pairs)
    figures = {**result.figures, "num_cached_tokens": num_cached}
    if result.status is not Status.FAIL and not num_cached:
        sentence = "Nothing was kept of an earlier prompt, so every turn of a conversation is read anew."
        return CheckResult(name="cached", status=Status.WARN, sentence=sentence, figures=figures)
    return CheckResult(name="cached", status=result.status, sentence=result.sentence, figures=figures)


async def check_window_edges(rig: Rig) -> CheckResult:
    """Compare answers around the sliding window: prompts that end there, cold and kept, and branches that begin there."""
    prompts = rig.prompts
    await rig.answer(prompts.base)
    pairs = []
    for prompt in (*prompts.edges, *prompts.edges, *prompts.branches):
        rig.say(f"a prompt of {len(prompt)} tokens")
        pairs.append((prompt, await rig.answer(prompt)))
    return _judge(rig, "window_edges", "across 127, 128 and 129 tokens", pairs)


async def check_abort(rig: Rig) -> CheckResult:
    """Abort a prompt while it is read and while it is answered; then answer it, and its neighbour beside it."""
    neighbour, aborted = rig.prompts.edges[0], rig.prompts.long
    rig.say("aborting while the prompt is read")
    beside, in_prefill = await asyncio.gather(rig.answer(neighbour), _abort(rig, aborted, _has_begun))
    rig.say("aborting while the answer is written")
    in_decode = await _abort(rig, aborted, _is_written)
    pairs = [(neighbour, beside), (aborted, await rig.answer(aborted))]
    result = _judge(rig, "abort", "beside and after an abort", pairs)
    endings = {in_prefill.finish_reason, in_decode.finish_reason}
    if endings == {FinishReason.ABORT}:
        return result
    sentence = "An aborted answer ended as if it had not been aborted."
    return CheckResult(name="abort", status=Status.FAIL, sentence=sentence, figures=result.figures)


async def check_guessed(rig: Rig) -> CheckResult:
    """Compare an answer whose tokens may be guessed from what was said before, and checked in one step."""
    prompt = rig.prompts.repeating
    rig.say("an answer that repeats its prompt")
    return _judge(rig, "guessed", "guessed and checked", [(prompt, await rig.plain_answer(prompt))])


async def check_restart(rig: Rig) -> CheckResult:
    """Unload the model and answer again, from a new process."""
    rig.say("unloading and loading again")
    prompt = rig.prompts.edges[1]
    await rig.engine.unload()
    start = time.monotonic()
    await rig.engine.load()
    seconds = time.monotonic() - start
    result = _judge(rig, "restart", "after a restart", [(prompt, await rig.answer(prompt))])
    figures = {**result.figures, "load_seconds": round(seconds, 2)}
    return CheckResult(name="restart", status=result.status, sentence=result.sentence, figures=figures)


async def _abort(rig: Rig, prompt: Prompt, must_stop: Callable[[Answer], bool]) -> Answer:
    return await ask(rig.engine, Question(prompt=prompt, max_tokens=_NEVER_REACHED, must_stop=must_stop))


def _has_begun(answer: Answer) -> bool:
    return bool(answer.chunk_tokens or answer.token_ids)


def _is_written(answer: Answer) -> bool:
    return len(answer.token_ids) >= _DECODED_BEFORE_ABORT


def _judge(rig: Rig, name: str, how: str, pairs: Iterable[tuple[Prompt, Answer]]) -> CheckResult:
    likenesses = [compare(rig.references[prompt], answer) for prompt, answer in pairs]
    different = [each for each in likenesses if not each.is_exact(rig.tolerance)]
    num_ties = sum(not each.is_whole for each in likenesses) - len(different)
    drift = max(each.drift for each in likenesses)
    figures = {
        "num_answers": len(likenesses),
        "num_different": len(different),
        "num_near_ties": num_ties,
        "num_equal_tokens": sum(each.num_equal_tokens for each in likenesses),
        "largest_logprob_drift": float(f"{drift:.3g}"),
    }
    if different:
        status, sentence = Status.FAIL, _difference(different, len(likenesses), how)
    elif drift > rig.tolerance.drift:
        # On a GPU a token may go to another expert for a last bit; in float32 such a difference is an error.
        status = Status.FAIL if rig.model.device == "cpu" else Status.WARN
        sentence = f"Answers {how} have the same tokens, and log probabilities that differ by {drift:.2g}."
    else:
        status = Status.PASS
        ties = f"; {num_ties} parted at a near tie, as rounding may have it" if num_ties else ""
        sentence = f"Answers {how} are those computed alone, {len(likenesses)} of {len(likenesses)}{ties}."
    return CheckResult(name=name, status=status, sentence=sentence, figures=figures)


def _difference(different: list[Likeness], num_answers: int, how: str) -> str:
    first = min(different, key=lambda each: each.num_equal_tokens)
    gap = f", where the right one was likelier by {first.gap:.2g}" if first.gap is not None else ""
    return (
        f"{len(different)} of {num_answers} answers {how} differ from those computed alone, the first at token "
        f"{first.num_equal_tokens + 1}{gap}."
    )
