"""All checks in a row, with an engine that plays scripts."""

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest

from jupyter_mlx_gpt_oss.check.console import Console
from jupyter_mlx_gpt_oss.check.device import Device
from jupyter_mlx_gpt_oss.check.report import build_report, public_name, write_report
from jupyter_mlx_gpt_oss.check.result import CheckResult, Status
from jupyter_mlx_gpt_oss.check.runner import CHECKS, LOAD, REFERENCES, Outcome, run_checks, verdict
from jupyter_mlx_gpt_oss.engine.config import EngineConfig
from jupyter_mlx_gpt_oss.errors import GenerationError, ModelLoadError
from tests.support.scripted_engine import ScriptedEngine

HELLO = "<|channel|>final<|message|>Hello.<|return|>"


class Engines:
    """Makes scripted engines, and keeps them for the test."""

    def __init__(self) -> None:
        self.made: list[ScriptedEngine] = []
        self.load_error: ModelLoadError | None = None
        self.failing_request: int | None = None
        """Of the second engine, counted from 0."""

    def make(self, config: EngineConfig) -> ScriptedEngine:
        engine = ScriptedEngine(config)
        engine.load_error = self.load_error
        if self.made and self.failing_request is not None:
            for _ in range(self.failing_request):
                engine.enqueue(HELLO)
            engine.enqueue(GenerationError("In /home/alice something failed."))
        self.made.append(engine)
        return engine


@pytest.fixture
def engines() -> Engines:
    return Engines()


async def run(engines: Engines, device: Device, model: str = "demo") -> tuple[Outcome, str]:
    shown = io.StringIO()
    outcome = await run_checks(EngineConfig(model=model), engines.make, device, Console(shown))
    return outcome, shown.getvalue()


async def test_every_check_has_a_line_and_every_engine_is_stopped(engines: Engines, device: Device) -> None:
    outcome, shown = await run(engines, device)
    names = [LOAD, REFERENCES, *CHECKS]
    assert [result.name for result in outcome.results] == names
    assert [line.split()[1] for line in shown.splitlines()] == names
    assert [engine.is_stopped for engine in engines.made] == [True, True]


async def test_the_references_come_from_an_engine_that_keeps_nothing(
    engines: Engines, device: Device
) -> None:
    await run(engines, device)
    assert [engine.config.prefix_cache_bytes for engine in engines.made] == [0, None]


async def test_an_error_fails_its_check_and_the_others_go_on(engines: Engines, device: Device) -> None:
    engines.failing_request = 0
    outcome, shown = await run(engines, device)
    assert len(outcome.results) == len(CHECKS) + 2
    assert "batched" in outcome.names(Status.FAIL)
    (failed,) = [result for result in outcome.results if result.name == "batched"]
    assert failed.sentence == "It ended with the error generation_failed."
    assert "     In /home/alice something failed." in shown.splitlines()


async def test_a_model_that_cannot_be_loaded_ends_the_run(engines: Engines, device: Device) -> None:
    engines.load_error = ModelLoadError("No such directory.")
    outcome, shown = await run(engines, device)
    assert [(result.name, result.status) for result in outcome.results] == [(LOAD, Status.FAIL)]
    assert "No such directory." in shown
    assert engines.made[0].is_stopped
    assert build_report(device, outcome.model, outcome.bytes_per_token, outcome.results)["model"] is None


async def test_how_many_may_wait_is_the_checks_own(engines: Engines, device: Device) -> None:
    config = EngineConfig(model="demo", max_requests_per_user=1, max_waiting_requests=1)
    await run_checks(config, engines.make, device, Console(io.StringIO()))
    assert {
        (each.config.max_requests_per_user, each.config.max_waiting_requests) for each in engines.made
    } == {(0, 64)}


async def test_a_report_says_nothing_private(engines: Engines, device: Device, tmp_path: Path) -> None:
    engines.failing_request = 0
    outcome, _ = await run(engines, device)
    assert outcome.model is not None
    model = replace(outcome.model, name="/home/alice/secret-model")
    file = tmp_path / "report.json"
    write_report(build_report(device, model, outcome.bytes_per_token, outcome.results), file)
    text = file.read_text(encoding="utf-8")
    assert [word for word in ("alice", "secret", "Hello", "/") if word in text.replace("tokens/s", "")] == []
    assert json.loads(text)["model"]["name"] == "another checkpoint"


@pytest.mark.parametrize("model", ["demo", "mlx-community/gpt-oss-20b-MXFP4-Q8", "openai/gpt-oss-120b"])
def test_a_model_that_everybody_has_is_named(model: str) -> None:
    assert public_name(model) == model


@pytest.mark.parametrize("model", ["alice/gpt-oss-tuned", "/models/demo", "openai/../home/alice", "demo2"])
def test_any_other_model_is_not_named(model: str) -> None:
    assert public_name(model) == "another checkpoint"


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ([Status.PASS], ["1 checks passed, 0 warned, 0 failed.", "Fit for use here."]),
        ([Status.WARN], ["0 checks passed, 1 warned, 0 failed.", "Fit for use here; worth a look: check0."]),
        (
            [Status.WARN, Status.FAIL],
            [
                "0 checks passed, 1 warned, 1 failed.",
                "Not fit for use here: check1. Please attach the report to an issue.",
            ],
        ),
    ],
)
def test_the_verdict_is_short(statuses: list[Status], expected: list[str]) -> None:
    results = [
        CheckResult(name=f"check{number}", status=status, sentence="")
        for number, status in enumerate(statuses)
    ]
    assert verdict(Outcome(results=results)) == expected
