"""The time of day is for dates alone."""

from jupyter_mlx_gpt_oss.engine.config import EngineConfig
from jupyter_mlx_gpt_oss.serving.config import ServingConfig
from jupyter_mlx_gpt_oss.serving.service import Service
from tests.support.scripted_engine import ScriptedEngine


def test_a_clock_that_jumps_changes_nothing_that_is_measured() -> None:
    now = 1_800_000_000.0
    service = Service(
        make_engine=lambda: ScriptedEngine(EngineConfig()),
        config=ServingConfig(),
        model_name="demo",
        version="0",
        clock=lambda: now,
    )
    for jump in (-86_400.0, 2 * 86_400.0):
        now += jump
        assert 0 <= service.health()["uptime_seconds"] < 60
