"""Every error can be answered with, and stands in the documents."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from jupyter_mlx_gpt_oss.errors import (
    CapacityError,
    ClientError,
    ContextLengthError,
    EngineError,
    GptOssError,
    RequestError,
)
from jupyter_mlx_gpt_oss.protocol.error_body import error_body

DOCUMENT = Path(__file__).parent.parent / "docs" / "http-api.md"


def leaves(error: type[GptOssError]) -> Iterator[type[GptOssError]]:
    children = [child for child in error.__subclasses__() if child is not ClientError]
    for child in children:
        yield from leaves(child)
    if not children:
        yield error


@pytest.mark.parametrize("error", [*leaves(GptOssError)], ids=lambda error: error.__name__)
def test_every_error_of_the_server_has_its_row_in_the_documents(error: type[GptOssError]) -> None:
    assert issubclass(error, RequestError | CapacityError | EngineError)
    assert 400 <= error.status < 600
    assert f"| {error.status} | `{error.code}` |" in DOCUMENT.read_text(encoding="utf-8")


def test_codes_tell_errors_apart() -> None:
    codes = [error.code for error in leaves(GptOssError)]
    assert len(codes) == len(set(codes))


def test_a_request_error_names_its_field() -> None:
    assert error_body(RequestError("No.", param="messages[0].role")) == {
        "error": {
            "message": "No.",
            "type": "invalid_request_error",
            "param": "messages[0].role",
            "code": "invalid_request_error",
        }
    }


def test_a_context_error_has_both_numbers() -> None:
    details = error_body(ContextLengthError(5000, 4096))["error"]
    assert "5000" in details["message"]
    assert "4096" in details["message"]
    assert (details["param"], details["code"]) == ("messages", "context_length_exceeded")


def test_an_error_of_the_engine_names_no_field() -> None:
    details = error_body(CapacityError("Later."))["error"]
    assert (details["type"], details["param"], details["code"]) == ("server_error", None, "overloaded")
