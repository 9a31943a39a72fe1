"""The OpenAPI document: whole, and true to the models and the errors."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from jupyter_mlx_gpt_oss.errors import ClientError, GptOssError
from jupyter_mlx_gpt_oss.protocol import completions, field_rules, responses, tokenize
from jupyter_mlx_gpt_oss.protocol.chat_completions import ChatCompletionRequest
from jupyter_mlx_gpt_oss.protocol.openapi import openapi_document
from jupyter_mlx_gpt_oss.protocol.operations import ALWAYS, OPERATIONS, leaves

DOCUMENT = openapi_document(version="1.2", server_url="http://127.0.0.1:8888/gpt-oss")
SCHEMAS = DOCUMENT["components"]["schemas"]


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"]
        for child in node.values():
            yield from references(child)
    elif isinstance(node, list):
        for child in node:
            yield from references(child)


def validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(
        {"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]}
    )


def test_it_is_json_of_version_3_1() -> None:
    assert json.loads(json.dumps(DOCUMENT))["openapi"].startswith("3.1.")
    assert DOCUMENT["info"]["version"] == "1.2"


def test_every_reference_leads_somewhere() -> None:
    names = {reference.removeprefix("#/components/schemas/") for reference in references(DOCUMENT)}
    assert names <= set(SCHEMAS)


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_every_schema_is_one(name: str) -> None:
    Draft202012Validator.check_schema(SCHEMAS[name])


def test_operations_have_names_of_their_own() -> None:
    names = [each["operationId"] for path in DOCUMENT["paths"].values() for each in path.values()]
    assert len(names) == len(set(names)) == len(OPERATIONS) + 1


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("ChatCompletionRequest", field_rules.ACCEPTED_FIELDS | field_rules.REFUSED_FIELDS.keys()),
        ("CompletionRequest", completions.ACCEPTED_FIELDS | completions.REFUSED_FIELDS.keys()),
        ("ResponsesRequest", responses.ACCEPTED_FIELDS | responses.REFUSED_FIELDS.keys()),
        ("TokenizeRequest", tokenize.ACCEPTED_FIELDS),
    ],
)
def test_fields_without_a_place_in_a_model_are_told_too(name: str, fields: frozenset[str]) -> None:
    assert fields <= set(SCHEMAS[name]["properties"])


def test_every_error_of_the_server_is_declared_somewhere() -> None:
    declared = {error for operation in OPERATIONS for error in (*ALWAYS, *operation.errors)}
    raised = {error for error in leaves(GptOssError) if not issubclass(error, ClientError)}
    assert raised <= declared


def test_a_failure_tells_its_codes() -> None:
    failures = DOCUMENT["paths"]["/v1/chat/completions"]["post"]["responses"]
    assert "`context_length_exceeded`" in failures["400"]["description"]
    assert "Retry-After" in failures["429"]["headers"]


def test_streams_have_their_content_type() -> None:
    for path in ("/v1/chat/completions", "/v1/completions", "/v1/responses"):
        content = DOCUMENT["paths"][path]["post"]["responses"]["200"]["content"]["text/event-stream"]
        # OpenAPI 3.1 does not say whether the schema is that of the whole stream or of one event, and readers differ.
        assert "type" not in content["schema"]


@pytest.mark.parametrize(
    ("name", "body", "is_valid"),
    [
        ("CompletionRequest", {"prompt": [1, 2], "stop": "x", "structured_outputs": {"json": {}}}, True),
        ("CompletionRequest", {"prompt": [1, 201_088]}, False),
        ("CompletionRequest", {"prompt": "a", "suffix": "b"}, False),
        ("CompletionRequest", {"prompt": "a", "user": "ann", "unknown": 1}, False),
        ("ChatCompletionRequest", {"messages": [{"role": "user", "content": "Hi"}], "store": True}, True),
        ("ChatCompletionRequest", {"messages": []}, False),
        ("ResponsesRequest", {"input": "Hi", "background": True}, False),
        ("DetokenizeRequest", {"tokens": [1]}, True),
    ],
)
def test_a_schema_says_what_the_model_says(name: str, body: dict[str, Any], is_valid: bool) -> None:
    assert validator(name).is_valid(body) is is_valid


def test_a_chat_field_of_the_model_is_a_field_of_the_schema() -> None:
    assert set(ChatCompletionRequest.model_fields) <= set(SCHEMAS["ChatCompletionRequest"]["properties"])
