"""What the log says of a request that failed: enough to find it, and no word that the client wrote."""

import logging
from typing import Any

import pytest
from tornado import web

from jupyter_mlx_gpt_oss.errors import (
    AuthenticationError,
    ContextLengthError,
    GptOssError,
    InvalidRequestError,
    ModelLoadError,
    NotFoundError,
    PermissionDeniedError,
)
from jupyter_mlx_gpt_oss.handlers.error_translation import log_of
from tests.support.http_client import HttpClient
from tests.support.scripted_engine import ScriptedEngine

SECRET = "xyzzy"


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (
            InvalidRequestError(f"Parser error at {SECRET}.", param="structured_outputs"),
            "invalid_request_error: structured_outputs",
        ),
        (InvalidRequestError(f"Grammar: {SECRET}"), "invalid_request_error"),
        (InvalidRequestError("Unknown.", param=f"a\n{SECRET}"), "invalid_request_error: a field it made up"),
        (InvalidRequestError("Long.", param="a" * 101), "invalid_request_error: a field it made up"),
        (NotFoundError(f"There is no item {SECRET!r}.", param="input[0].id"), "not_found: input[0].id"),
    ],
)
def test_a_refused_request_is_logged_by_its_code_and_field(error: GptOssError, text: str) -> None:
    assert log_of(error, None) == (logging.INFO, text)


@pytest.mark.parametrize(
    "error",
    [AuthenticationError("No key."), PermissionDeniedError("Not from there."), ContextLengthError(9, 8)],
)
def test_what_quotes_no_request_is_logged_in_words(error: GptOssError) -> None:
    assert log_of(error, None) == (logging.INFO, f"{error.code}: {error.message}")


def test_a_fault_of_the_server_is_a_warning_in_words() -> None:
    assert log_of(ModelLoadError("No file."), None) == (logging.WARNING, "model_load_failed: No file.")
    assert log_of(web.HTTPError(503, "Busy"), None)[0] == logging.WARNING


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("completions", {"prompt": "Hi", "structured_outputs": {"grammar": f"start: {SECRET}"}}),
        ("chat/completions", {"messages": [{"role": "user", "content": "Hi"}]}),
        ("responses", {"input": "Hi", "stream": True}),
    ],
)
async def test_what_the_compiler_says_of_a_grammar_is_told_to_the_client_alone(
    http: HttpClient,
    engine: ScriptedEngine,
    caplog: pytest.LogCaptureFixture,
    path: str,
    fields: dict[str, Any],
) -> None:
    caplog.set_level(logging.INFO)
    engine.enqueue(InvalidRequestError(f"The grammar cannot be compiled: {SECRET}"))
    reply = await http.post(f"gpt-oss/v1/{path}", fields)
    assert reply.status == 400
    assert SECRET in reply.error["message"]
    assert SECRET not in caplog.text
    assert "invalid_request_error" in caplog.text


async def test_an_answer_that_fails_in_its_grammar_is_logged_without_its_words(
    http: HttpClient, engine: ScriptedEngine, caplog: pytest.LogCaptureFixture
) -> None:
    for path, fields in (
        ("responses", {"input": "Hi"}),
        ("chat/completions", {"messages": [{"role": "user", "content": "Hi"}]}),
    ):
        engine.enqueue("<|channel|>final<|message|>Hello", InvalidRequestError(f"No: {SECRET}"))
        reply = await http.post(f"gpt-oss/v1/{path}", {**fields, "stream": True})
        assert reply.status == 200
    assert SECRET not in caplog.text
    assert caplog.text.count("invalid_request_error") >= 2
