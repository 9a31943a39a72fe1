"""docs/http-api.md against the request models, the errors and the routes: each has its line, and no line is of nothing."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel

from jupyter_mlx_gpt_oss.errors import ClientError, GptOssError
from jupyter_mlx_gpt_oss.protocol import completions, field_rules, responses, tokenize
from jupyter_mlx_gpt_oss.protocol.chat_completions import ChatCompletionRequest
from jupyter_mlx_gpt_oss.protocol.completions import CompletionRequest
from jupyter_mlx_gpt_oss.protocol.models import LoadRequest
from jupyter_mlx_gpt_oss.protocol.operations import OPERATIONS, leaves
from jupyter_mlx_gpt_oss.protocol.responses import ResponsesRequest
from jupyter_mlx_gpt_oss.protocol.tokenize import DetokenizeRequest, TokenizeRequest

DOCUMENT = (Path(__file__).parent.parent / "docs" / "http-api.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (.+)\n((?:(?!^## ).*\n)*)", DOCUMENT, flags=re.MULTILINE))
MODELS: Mapping[str, tuple[tuple[type[BaseModel], ...], frozenset[str]]] = {
    "Chat completions": (
        (ChatCompletionRequest,),
        field_rules.ACCEPTED_FIELDS | field_rules.REFUSED_FIELDS.keys(),
    ),
    "Completions": ((CompletionRequest,), completions.ACCEPTED_FIELDS | completions.REFUSED_FIELDS.keys()),
    "Tokens": ((TokenizeRequest, DetokenizeRequest), tokenize.ACCEPTED_FIELDS),
    "Responses": ((ResponsesRequest,), responses.ACCEPTED_FIELDS | responses.REFUSED_FIELDS.keys()),
}


def models_in(annotation: object) -> Iterator[type[BaseModel]]:
    """Yield the models that a field may hold."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from models_in(part)


def fields_of(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Yield the fields of a model as paths, `reasoning.effort`, by the names that they have on the wire."""
    for name, field in model.model_fields.items():
        path = f"{prefix}{field.alias or name}"
        inner_models = list(models_in(field.annotation))
        for inner in inner_models:
            yield from fields_of(inner, f"{path}.")
        if not inner_models:
            yield path


def quoted_in(text: str) -> set[str]:
    """Return the names in backticks."""
    return {name for quoted in re.findall(r"`([^`]+)`", text) for name in re.findall(r"[\w.]+", quoted)}


def lines_with(text: str, name: str) -> str:
    return "\n".join(line for line in text.splitlines() if name in quoted_in(line))


def is_told(path: str, text: str) -> bool:
    """Say whether a text names a field, as a path or beside the field that it stands in; or chat's text does."""
    parent, _, name = path.rpartition(".")
    chat = SECTIONS["Chat completions"]
    return any(
        path in quoted_in(each) or (bool(parent) and name in quoted_in(lines_with(each, parent)))
        for each in ((text, chat) if parent else (text,))
    )


@pytest.mark.parametrize("section", MODELS)
def test_every_field_has_its_line(section: str) -> None:
    models, others = MODELS[section]
    text = SECTIONS[section]
    paths = [*(path for model in models for path in fields_of(model)), *others]
    assert [path for path in paths if not is_told(path, text)] == []


@pytest.mark.parametrize("section", MODELS)
def test_no_line_is_of_a_field_that_nobody_reads(section: str) -> None:
    models, others = MODELS[section]
    paths = {path for model in models for path in fields_of(model)}
    known = paths | others
    known |= {parent for path in paths for parent in (path.partition(".")[0], path.rpartition(".")[0])}
    first_columns = re.findall(r"^\| (`.*?) \| ", SECTIONS[section], flags=re.MULTILINE)
    assert first_columns
    for column in first_columns:
        fields = set(re.findall(r"`([\w.]+)[^`]*`", re.sub(r"\([^)]*\)", "", column)))
        assert fields <= known, fields - known


def test_every_error_is_a_row_and_every_row_an_error() -> None:
    rows = set(re.findall(r"^\| (\d{3}) \| `(\w+)` \|", SECTIONS["Errors"], flags=re.MULTILINE))
    errors = {error for error in leaves(GptOssError) if not issubclass(error, ClientError)} | {GptOssError}
    assert rows == {(str(error.status), error.code) for error in errors}


def test_every_route_has_its_row() -> None:
    table = DOCUMENT.partition("## Access")[0]
    for operation in OPERATIONS:
        assert f"`{operation.method.upper()} gpt-oss{operation.path}`" in table
    assert "`GET gpt-oss/`" in table
    assert set(LoadRequest.model_fields) <= {"model"}
