"""A model's name to the results of all checks: loaded once without a prefix cache for the references, then as it is used."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from jupyter_mlx_gpt_oss.check.answer import Answer, Question, ask
from jupyter_mlx_gpt_oss.check.console import Console
from jupyter_mlx_gpt_oss.check.device import Device
from jupyter_mlx_gpt_oss.check.exactness import (
    check_abort,
    check_batched,
    check_cached,
    check_guessed,
    check_restart,
    check_window_edges,
)
from jupyter_mlx_gpt_oss.check.prompts import Prompt, exact_prompts
from jupyter_mlx_gpt_oss.check.result import CheckResult, Status
from jupyter_mlx_gpt_oss.check.rig import Rig, compute_references
from jupyter_mlx_gpt_oss.check.speed import (
    check_decode,
    check_gaps,
    check_memory,
    check_prefill,
)
from jupyter_mlx_gpt_oss.check.weights import bytes_per_token, find_checkpoint
from jupyter_mlx_gpt_oss.engine.base import Engine, ModelInfo
from jupyter_mlx_gpt_oss.engine.config import EngineConfig
from jupyter_mlx_gpt_oss.engine.request import Progress, TokenOutput
from jupyter_mlx_gpt_oss.errors import GptOssError

Check = Callable[[Rig], Awaitable[CheckResult]]
MakeEngine = Callable[[EngineConfig], Engine]

CHECKS: dict[str, Check] = {
    "batched": check_batched,
    "cached": check_cached,
    "window_edges": check_window_edges,
    "guessed": check_guessed,
    "restart": check_restart,
    "abort": check_abort,  # behind the restart: the prompt that it aborts must not be kept yet
    "decode": check_decode,
    "prefill": check_prefill,
    "gaps": check_gaps,
    "memory": check_memory,
}
LOAD, REFERENCES = "load", "references"
"""What comes before all checks, and without which there are none."""
_ANY_PROMPT = (0, 1)  # in every vocabulary
_MAX_WAITING = 64


@dataclass(slots=True)
class Outcome:
    """What all checks found."""

    model: ModelInfo | None = None
    """None where it could not be loaded."""
    bytes_per_token: int | None = None
    results: list[CheckResult] = field(default_factory=list)

    def names(self, status: Status) -> list[str]:
        """Return the checks that ended so."""
        return [result.name for result in self.results if result.status is status]


async def run_checks(
    config: EngineConfig, make_engine: MakeEngine, device: Device, console: Console
) -> Outcome:
    """Run every check, whatever the others found; without a model, none."""
    outcome = Outcome()
    # All questions are one caller's, and come at once: how many may wait is no part of what is checked.
    config = replace(config, max_requests_per_user=0, max_waiting_requests=_MAX_WAITING)
    async with _running(make_engine(replace(config, prefix_cache_bytes=0))) as engine:
        model = await _load(engine, console, outcome)
        if model is None:
            return outcome
        outcome.model = model
        references = await _compute_references(engine, model, console, outcome)
        if references is None:
            return outcome
    directory = find_checkpoint(model.name)
    outcome.bytes_per_token = None if directory is None else bytes_per_token(directory)
    async with _running(make_engine(config)) as engine:
        rig = Rig(
            engine=engine,
            model=model,
            device=device,
            references=references,
            bytes_per_token=outcome.bytes_per_token,
            say=console.say,
        )
        for name, check in CHECKS.items():
            await _run(name, check, rig, console, outcome)
    return outcome


def verdict(outcome: Outcome) -> Sequence[str]:
    """Return what it comes to, in three lines at the most."""
    failed, warned = outcome.names(Status.FAIL), outcome.names(Status.WARN)
    num_passed = len(outcome.names(Status.PASS))
    lines = [f"{num_passed} checks passed, {len(warned)} warned, {len(failed)} failed."]
    if failed:
        lines.append(f"Not fit for use here: {', '.join(failed)}. Please attach the report to an issue.")
    elif warned:
        lines.append(f"Fit for use here; worth a look: {', '.join(warned)}.")
    else:
        lines.append("Fit for use here.")
    return lines


@asynccontextmanager
async def _running(engine: Engine) -> AsyncIterator[Engine]:
    try:
        yield engine
    finally:
        await engine.stop()


async def _load(engine: Engine, console: Console, outcome: Outcome) -> ModelInfo | None:
    """Load the model with a first request, which is told of the progress."""
    console.begin(LOAD)

    def on_news(news: Progress | TokenOutput) -> None:
        if isinstance(news, Progress):
            console.say(_progress_text(news))

    try:
        answer = await ask(engine, Question(prompt=_ANY_PROMPT, max_tokens=1), on_news)
    except GptOssError as error:
        _end(_failure(LOAD, error), console, outcome, error)
        return None
    model = engine.status().model
    assert model is not None
    seconds = answer.first_token_seconds
    sentence = f"{model.weight_bytes / 1e9:.2f} GB of weights, {model.quantization or 'not quantised'}, on the {model.device}."
    figures = {"load_seconds": round(seconds, 2), "weight_bytes": model.weight_bytes}
    _end(CheckResult(name=LOAD, status=Status.PASS, sentence=sentence, figures=figures), console, outcome)
    return model


async def _compute_references(
    engine: Engine, model: ModelInfo, console: Console, outcome: Outcome
) -> dict[Prompt, Answer] | None:
    console.begin(REFERENCES)
    prompts = exact_prompts(model.vocabulary_size)
    try:
        references = await compute_references(engine, prompts, console.say)
    except GptOssError as error:
        _end(_failure(REFERENCES, error), console, outcome, error)
        return None
    sentence = f"{len(references)} answers were computed alone, with nothing kept, to compare with."
    _end(CheckResult(name=REFERENCES, status=Status.PASS, sentence=sentence), console, outcome)
    return references


def _progress_text(progress: Progress) -> str:
    stage = progress.stage.value.replace("_", " ")
    return f"{stage} {progress.done / progress.total:.0%}" if progress.total else stage


async def _run(name: str, check: Check, rig: Rig, console: Console, outcome: Outcome) -> None:
    console.begin(name)
    try:
        result = await check(rig)
    except GptOssError as error:
        _end(_failure(name, error), console, outcome, error)
    else:
        _end(result, console, outcome)


def _failure(name: str, error: GptOssError) -> CheckResult:
    # Only the code: a message may name a directory.
    return CheckResult(name=name, status=Status.FAIL, sentence=f"It ended with the error {error.code}.")


def _end(result: CheckResult, console: Console, outcome: Outcome, error: GptOssError | None = None) -> None:
    outcome.results.append(result)
    console.end(result)
    if error is not None:
        console.line(f"     {error.message}")
