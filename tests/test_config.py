"""Every option reaches its room, and stands in the documents."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from traitlets import TraitError
from traitlets.config import Config, Configurable

from jupyter_mlx_gpt_oss.app import GptOss
from jupyter_mlx_gpt_oss.config import GptOssEngine, GptOssRemote, GptOssServing
from jupyter_mlx_gpt_oss.engine.config import EngineConfig
from jupyter_mlx_gpt_oss.serving.config import ServingConfig

DOCUMENT = Path(__file__).parent.parent / "docs" / "configuration.md"
OPTIONS = [
    (owner, name)
    for owner in (GptOss, GptOssEngine, GptOssRemote, GptOssServing)
    for name in sorted(owner.class_own_traits(config=True))
]


def test_options_and_engine_config_are_the_same_list() -> None:
    assert set(GptOssEngine.class_own_traits()) == {field.name for field in fields(EngineConfig)} - {"model"}


def test_options_and_serving_config_are_the_same_list() -> None:
    assert set(GptOssServing.class_own_traits()) == {field.name for field in fields(ServingConfig)}


def test_defaults_are_those_of_the_rooms() -> None:
    assert GptOssEngine().engine_config("demo") == EngineConfig()
    assert GptOssServing().serving_config() == ServingConfig()


def test_a_value_reaches_its_room() -> None:
    config = Config({"GptOssEngine": {"context_length": 4096}, "GptOssServing": {"max_body_bytes": 10}})
    assert GptOssEngine(config=config).engine_config("x") == EngineConfig(model="x", context_length=4096)
    assert GptOssServing(config=config).serving_config() == ServingConfig(max_body_bytes=10)


@pytest.mark.parametrize(
    ("owner", "options"),
    [
        (GptOssEngine, {"max_running_requests": 0}),
        (GptOssEngine, {"context_length": "many"}),
        (GptOssServing, {"keep_alive_seconds": 0}),
        (GptOssServing, {"max_body_bytes": 0}),
    ],
)
def test_a_value_out_of_range_is_refused(owner: type[Configurable], options: dict[str, object]) -> None:
    with pytest.raises(TraitError, match=next(iter(options))):
        owner(config=Config({owner.__name__: options}))


@pytest.mark.parametrize(
    "values", [{"keep_alive_seconds": 0}, {"max_body_bytes": 0}, {"stop_grace_seconds": -1}]
)
def test_a_serving_config_holds_its_own_limits(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="above 0"):
        ServingConfig(**values)


@pytest.mark.parametrize("values", [{"turn_memory_max_items": -1}, {"turn_memory_max_bytes": -1}])
def test_a_turn_memory_has_no_negative_size(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="at least 0"):
        ServingConfig(**values)


@pytest.mark.parametrize(("owner", "name"), OPTIONS, ids=lambda part: getattr(part, "__name__", part))
def test_every_option_has_its_help_and_its_row_in_the_documents(owner: type[Configurable], name: str) -> None:
    trait = owner.class_own_traits()[name]
    assert trait.help
    row = f"| `{owner.__name__}.{name}` | `{trait.default_value}` |"
    assert row in DOCUMENT.read_text(encoding="utf-8")
