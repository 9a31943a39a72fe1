"""What is counted and measured, and that the documents list it."""

import itertools
import re
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from prometheus_client import REGISTRY, generate_latest

from jupyter_mlx_gpt_oss.engine.base import EngineState, EngineStatus, ModelInfo
from jupyter_mlx_gpt_oss.engine.request import Progress, ProgressStage, TokenOutput
from jupyter_mlx_gpt_oss.serving.metrics import Metrics

DOCUMENT = Path(__file__).parent.parent.parent / "docs" / "metrics.md"
MODEL = ModelInfo(
    name="demo",
    context_length=4096,
    quantization=None,
    vocabulary_size=201_088,
    is_demo=True,
    weight_bytes=1000,
    device="cpu",
)
STATUS = EngineStatus(
    state=EngineState.READY,
    model=MODEL,
    num_running=2,
    num_waiting=3,
    memory_bytes=1700,
    prefix_cache_bytes=500,
    snapshot_bytes=100,
    live_kv_bytes=50,
    step_seconds=0.25,
    num_restarts=4,
    tokens_per_second=7.5,
)


@pytest.fixture
def metrics() -> Metrics:
    """Return metrics whose clock goes on by a second at each look."""
    return Metrics(lambda: STATUS, clock=map(float, itertools.count()).__next__)


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"gpt_oss_{name}", labels)


async def outputs(*items: Progress | TokenOutput) -> AsyncGenerator[Progress | TokenOutput, None]:
    for item in items:
        yield item


async def test_an_answer_is_measured_and_passed_on(metrics: Metrics) -> None:
    items = (
        Progress(stage=ProgressStage.QUEUED, done=1),
        Progress(stage=ProgressStage.PREFILL, done=0, total=10),
        TokenOutput(token_ids=(1,), num_cached_tokens=6),
        TokenOutput(token_ids=(2, 3)),
        TokenOutput(token_ids=()),
    )
    assert [item async for item in metrics.measure(outputs(*items), 10)] == [*items]
    assert value(metrics, "prompt_tokens_total") == 10
    assert value(metrics, "cached_prompt_tokens_total") == 6
    assert value(metrics, "completion_tokens_total") == 3
    assert value(metrics, "queue_seconds_sum") == 2
    assert value(metrics, "time_to_first_token_seconds_sum") == 3
    assert value(metrics, "time_between_tokens_seconds_sum") == 0.5  # a second for two tokens
    assert value(metrics, "time_between_tokens_seconds_count") == 1


async def test_tokens_that_were_cached_are_counted_once_whenever_they_are_told(metrics: Metrics) -> None:
    items = (
        TokenOutput(token_ids=(1,)),
        TokenOutput(token_ids=(2,), num_cached_tokens=6),
        TokenOutput(token_ids=(3,), num_cached_tokens=6),
        TokenOutput(token_ids=(), num_cached_tokens=8),  # a remote engine's last
    )
    _ = [item async for item in metrics.measure(outputs(*items), 10)]
    assert value(metrics, "cached_prompt_tokens_total") == 8


async def test_an_answer_without_progress_waited_for_its_first_token(metrics: Metrics) -> None:
    _ = [item async for item in metrics.measure(outputs(TokenOutput(token_ids=(1,))), 10)]
    assert value(metrics, "queue_seconds_sum") == value(metrics, "time_to_first_token_seconds_sum") == 1


async def test_closing_a_measured_answer_closes_the_answer(metrics: Metrics) -> None:
    answer = outputs(TokenOutput(token_ids=(1,)), TokenOutput(token_ids=(2,)))
    measured = metrics.measure(answer, 10)
    await anext(measured)
    await measured.aclose()
    assert [item async for item in answer] == []


def test_requests_are_counted_by_route_and_outcome(metrics: Metrics) -> None:
    for outcome in ("ok", "ok", "not_found"):
        metrics.count_request("v1/models/{id}", outcome)
    assert value(metrics, "requests_total", route="v1/models/{id}", outcome="ok") == 2
    assert value(metrics, "requests_total", route="v1/models/{id}", outcome="not_found") == 1


def test_the_engines_numbers_are_read_when_they_are_asked_for(metrics: Metrics) -> None:
    assert value(metrics, "running_requests") == 2
    assert value(metrics, "queued_requests") == 3
    assert value(metrics, "engine_restarts_total") == 4
    assert value(metrics, "step_seconds") == 0.25
    assert value(metrics, "tokens_per_second") == 7.5
    assert value(metrics, "prefix_cache_bytes") == 500
    kinds = ("weights", "live_kv", "prefix_cache", "snapshots", "other")
    assert [value(metrics, "memory_bytes", kind=kind) for kind in kinds] == [1000, 50, 400, 100, 150]
    assert value(metrics, "engine_state", state="ready") == 1
    assert value(metrics, "engine_state", state="failed") == 0


def test_several_servers_live_in_one_process() -> None:
    ours, others = Metrics(lambda: STATUS), Metrics(lambda: STATUS)
    for metrics in (ours, others, ours):
        metrics.export()
    ours.count_request("other", "ok")
    assert b'gpt_oss_requests_total{outcome="ok",route="other"} 1.0' in generate_latest(REGISTRY)
    for metrics in (ours, others, ours):
        metrics.withdraw()
    assert b"gpt_oss_" not in generate_latest(REGISTRY)


def test_the_documents_list_every_metric_and_no_other() -> None:
    metrics = Metrics(lambda: STATUS)
    served = {
        family.name + ("_total" if family.type == "counter" else "") for family in metrics.registry.collect()
    }
    listed = set(re.findall(r"^\| `(gpt_oss_\w+)", DOCUMENT.read_text(encoding="utf-8"), flags=re.MULTILINE))
    assert listed == served
