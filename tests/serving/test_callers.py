"""Whom a request is counted for."""

import itertools
import json
from contextlib import aclosing

from jupyter_mlx_gpt_oss.engine.config import EngineConfig
from jupyter_mlx_gpt_oss.serving.completions import Completions
from jupyter_mlx_gpt_oss.serving.metrics import Metrics
from tests.support.scripted_engine import ScriptedEngine


async def callers(*users: str | None, is_shared: bool) -> list[str]:
    """Return whom the engine hears of, for one request of each user."""
    engine = ScriptedEngine(EngineConfig())
    numbers = itertools.count(1)
    completions = Completions(
        engine=engine,
        metrics=Metrics(engine.status),
        model_name="demo",
        new_id=lambda prefix: f"{prefix}{next(numbers)}",
        version="1",
        clock=lambda: 0.0,
        owner="key",
        is_shared=is_shared,
    )
    for user in users:
        body = json.dumps({"prompt": "Hi", "user": user}).encode()
        async with aclosing(completions.complete(await completions.read(body))) as items:
            async for _ in items:
                pass
    return [request.caller for request in engine.requests]


async def test_a_shared_key_asks_for_several_people() -> None:
    ann, bob, ann_again, nobody = await callers("ann", "bob", "ann", None, is_shared=True)
    assert len({ann, bob, nobody}) == 3
    assert ann == ann_again
    assert nobody == "key"


async def test_a_key_of_ones_own_is_one_whatever_names_it_sends() -> None:
    assert await callers("ann", "bob", None, is_shared=False) == ["key"] * 3
