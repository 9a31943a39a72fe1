"""The engine against the machine: tokens a second, time to the first token, gaps, memory.

Nothing here fails for being slow; what is far below what the machine could do is a warning. On a CPU there is no
limit to compare with.
"""

import asyncio
import time
from itertools import pairwise
from statistics import median

from jupyter_mlx_gpt_oss.check.answer import Answer, Question, ask
from jupyter_mlx_gpt_oss.check.prompts import draw_prompt
from jupyter_mlx_gpt_oss.check.result import CheckResult, Status
from jupyter_mlx_gpt_oss.check.rig import Rig

MAX_GAP_SECONDS = 0.25
"""The longest that a running answer should wait for its next token while a prompt is read."""
_STREAMS = (1, 4, 8)
_DECODE_TOKENS, _DECODE_PROMPT_TOKENS, _DECODE_SECONDS = 96, 16, 20.0
_GAPS_TOKENS = 16_384  # more than are written while a prompt is read; the rest is aborted
_READ_TOKENS = 1024  # of the prompt that is read meanwhile
_PREFILL_TOKENS = (512, 2048)
_LEAST_SHARE = 0.3  # of the limit; MLX reaches 0.45 to 0.75 of it on a Mac in published figures
_LEAST_GAIN = 2.0  # of a kept prompt's first token over a cold one's
_MOST_MEMORY = 0.75  # macOS lets the GPU use about three quarters by default
_GAP_MARGIN = 1.2  # a chunk is sized by the one before it

_SEED = 10_000  # prompts of this module share no beginning with those whose answers are compared


async def check_decode(rig: Rig) -> CheckResult:
    """Measure tokens a second of 1, 4 and 8 streams."""
    speeds = {}
    for num_streams in _STREAMS:
        speeds[num_streams] = await _decode(rig, num_streams)
    alone, together = speeds[_STREAMS[0]], speeds[_STREAMS[-1]]
    limit = rig.max_tokens_per_second
    share = alone / limit if limit else None
    figures = {
        **{f"tokens_per_second_{number}_streams": round(speed, 2) for number, speed in speeds.items()},
        "bytes_per_token": rig.bytes_per_token,
        "limit_tokens_per_second": round(limit, 1) if limit else None,
        "share_of_limit": round(share, 3) if share is not None else None,
    }
    is_slow = share is not None and share < _LEAST_SHARE
    does_not_batch = rig.model.device != "cpu" and together < alone
    of_limit = f", {share:.0%} of what the memory allows" if share is not None else ""
    sentence = f"{alone:.1f} tokens/s alone{of_limit}; {together:.1f} with {_STREAMS[-1]} streams together."
    status = Status.WARN if is_slow or does_not_batch else Status.PASS
    return CheckResult(name="decode", status=status, sentence=sentence, figures=figures)


async def check_prefill(rig: Rig) -> CheckResult:
    """Measure how fast prompts are read when nothing else runs, and a prompt that is kept."""
    answers = {}
    for num_tokens in _PREFILL_TOKENS:
        rig.say(f"a prompt of {num_tokens} tokens")
        answers[num_tokens] = await _first_token(rig, num_tokens, seed=_SEED)
    longest = _PREFILL_TOKENS[-1]
    rig.say("the same prompt again")
    cold, kept = answers[longest], await _first_token(rig, longest, seed=_SEED)
    speeds = {
        number: (number - answer.num_cached_tokens) / max(answer.first_token_seconds, 1e-6)
        for number, answer in answers.items()
    }
    chunk = max(cold.chunk_tokens, default=longest)
    limit = chunk * rig.bytes_per_second / rig.model.weight_bytes if rig.bytes_per_second else None
    figures = {
        **{f"tokens_per_second_{number}_tokens": round(speed, 1) for number, speed in speeds.items()},
        "limit_tokens_per_second": round(limit, 1) if limit else None,
        "largest_chunk_tokens": chunk,
        "cold_seconds": round(cold.first_token_seconds, 4),
        "cached_seconds": round(kept.first_token_seconds, 4),
        "num_cached_tokens": kept.num_cached_tokens,
    }
    sentence = (
        f"{' and '.join(map(str, speeds))} tokens are read at "
        f"{' and '.join(f'{speed:,.0f}' for speed in speeds.values())} tokens/s, in chunks of up to {chunk:,}"
        f"{f' (the memory allows {limit:,.0f} tokens/s)' if limit else ''}; the first token comes after "
        f"{cold.first_token_seconds:.2f} s, and behind a kept prompt after {kept.first_token_seconds:.2f} s."
    )
    is_worth_it = cold.first_token_seconds >= _LEAST_GAIN * kept.first_token_seconds
    status = Status.PASS if is_worth_it else Status.WARN
    return CheckResult(name="prefill", status=status, sentence=sentence, figures=figures)


async def check_gaps(rig: Rig) -> CheckResult:
    """Measure how long a running answer waits for its next token while a long prompt is read beside it."""
    rig.say("an answer is written while a prompt is read")
    is_running, is_read = asyncio.Event(), asyncio.Event()

    def must_stop(answer: Answer) -> bool:
        if len(answer.token_ids) >= _DECODE_PROMPT_TOKENS:
            is_running.set()
        return is_read.is_set()

    async def write() -> Answer:
        prompt = draw_prompt(_DECODE_PROMPT_TOKENS, rig.model.vocabulary_size, _SEED + 1)
        try:
            return await ask(
                rig.engine, Question(prompt=prompt, max_tokens=_GAPS_TOKENS, must_stop=must_stop)
            )
        finally:
            is_running.set()

    async def read() -> Answer:
        await is_running.wait()
        try:
            return await _first_token(rig, _READ_TOKENS, seed=_SEED + 2)
        finally:
            is_read.set()

    return judge_gaps(*await asyncio.gather(write(), read()))


def judge_gaps(stream: Answer, read: Answer) -> CheckResult:
    """Compare the gaps of a running answer before a prompt was read beside it with those meanwhile."""
    end = read.times[0] if read.times else read.asked_at
    gaps = [(later, later - earlier) for earlier, later in pairwise(stream.times)]
    beside = [gap for later, gap in gaps if read.asked_at <= later <= end]
    usual = median([gap for later, gap in gaps if later < read.asked_at] or [0.0])
    longest = max(beside, default=0.0)
    chunk = max(read.chunk_tokens, default=None)
    figures = {
        "longest_gap_seconds": round(longest, 4),
        "usual_gap_seconds": round(usual, 4),
        "num_tokens_meanwhile": len(beside),
        "read_seconds": round(read.first_token_seconds, 3),
        "largest_chunk_tokens": chunk,
    }
    sentence = (
        f"While a long prompt was read in chunks of up to {chunk or 0} tokens, a running answer waited "
        f"{1000 * longest:.0f} ms at the most for its next token, usually {1000 * usual:.0f} ms."
    )
    is_even = bool(beside) and longest <= max(MAX_GAP_SECONDS * _GAP_MARGIN, 2 * usual)
    status = Status.PASS if is_even else Status.WARN
    return CheckResult(name="gaps", status=status, sentence=sentence, figures=figures)


async def check_memory(rig: Rig) -> CheckResult:
    """Read what is in use after all that was done."""
    status = rig.engine.status()
    share = status.memory_bytes / rig.device.memory_bytes
    figures = {
        "weight_bytes": rig.model.weight_bytes,
        "memory_bytes": status.memory_bytes,
        "prefix_cache_bytes": status.prefix_cache_bytes,
        "device_memory_bytes": rig.device.memory_bytes,
    }
    sentence = (
        f"{status.memory_bytes / 1e9:.2f} GB are in use, {status.prefix_cache_bytes / 1e9:.2f} of them by the prefix "
        f"cache; there are {rig.device.memory_bytes / 1e9:.1f} GB."
    )
    if share <= _MOST_MEMORY:
        return CheckResult(name="memory", status=Status.PASS, sentence=sentence, figures=figures)
    sentence += " Close other programs, or choose a smaller context or model."
    return CheckResult(name="memory", status=Status.WARN, sentence=sentence, figures=figures)


async def _decode(rig: Rig, num_streams: int) -> float:
    """Return tokens a second of all streams together, from when each has its first token until one has its last."""
    deadline = time.monotonic() + _DECODE_SECONDS
    streams = f"{num_streams} streams" if num_streams > 1 else "one stream"

    def must_stop(answer: Answer) -> bool:
        rig.say(f"{streams}, {len(answer.token_ids)} of {_DECODE_TOKENS} tokens")
        return time.monotonic() > deadline

    def question(number: int) -> Question:
        prompt = draw_prompt(
            _DECODE_PROMPT_TOKENS, rig.model.vocabulary_size, _SEED + 100 * num_streams + number
        )
        # At this temperature hardly anything repeats, so that every step makes one token and none is guessed.
        return Question(prompt=prompt, max_tokens=_DECODE_TOKENS, temperature=1.0, must_stop=must_stop)

    answers = await asyncio.gather(*(ask(rig.engine, question(number)) for number in range(num_streams)))
    if not all(answer.times for answer in answers):
        return 0.0
    start = max(answer.times[0] for answer in answers)
    end = min(answer.times[-1] for answer in answers)
    num_tokens = sum(start < at <= end for answer in answers for at in answer.times)
    return num_tokens / (end - start) if end > start else 0.0


async def _first_token(rig: Rig, num_tokens: int, *, seed: int) -> Answer:
    prompt = draw_prompt(num_tokens, rig.model.vocabulary_size, seed)
    return await ask(rig.engine, Question(prompt=prompt, max_tokens=1))
