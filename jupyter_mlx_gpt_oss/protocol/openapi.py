"""The OpenAPI 3.1 document of all routes, made from the request models, the answers and the tree of errors.

Source: OpenAPI Specification 3.1.1.
"""

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from pydantic.json_schema import models_json_schema

from jupyter_mlx_gpt_oss.errors import CapacityError, GptOssError
from jupyter_mlx_gpt_oss.protocol import completions, field_rules, responses, sse, tokenize
from jupyter_mlx_gpt_oss.protocol.operations import ALWAYS, OPERATIONS, Model, Operation

_Json = dict[str, Any]
_REF = "#/components/schemas/"
_NO_EFFECT = "Accepted without effect."
_FRAMES = (
    "With `stream`: frames `data: {…}`, each as `x-event-schema` says, and `data: [DONE]` as the last; or an error as the "
    "last. Lines that begin with a colon are comments."
)
_NOT_SERVED = "Not served: any value but these is refused."
_ERROR: _Json = {
    "type": "object",
    "required": ["error"],
    "additionalProperties": False,
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "additionalProperties": False,
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "code": {"type": ["string", "null"]},
            },
        }
    },
}
_REFUSED: Mapping[str, Mapping[str, tuple[object, ...]]] = {
    "ChatCompletionRequest": field_rules.REFUSED_FIELDS,
    "CompletionRequest": completions.REFUSED_FIELDS,
    "ResponsesRequest": responses.REFUSED_FIELDS,
}
_ACCEPTED: Mapping[str, Iterable[str]] = {
    "ChatCompletionRequest": field_rules.ACCEPTED_FIELDS,
    "CompletionRequest": completions.ACCEPTED_FIELDS,
    "ResponsesRequest": responses.ACCEPTED_FIELDS,
    "TokenizeRequest": tokenize.ACCEPTED_FIELDS,
}


def openapi_document(*, version: str, server_url: str) -> dict[str, Any]:
    """Return the document as JSON.

    Args:
        version: this package's.
        server_url: where `gpt-oss` is found, with the base URL of the server.
    """
    paths: dict[str, _Json] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method] = _operation(operation)
    paths["/"] = {"get": _status_page()}
    return {
        "openapi": "3.1.1",
        "info": {"title": "jupyter-mlx-gpt-oss", "version": version},
        "servers": [{"url": server_url}],
        "security": [{"key": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
            "schemas": {**_schemas(), "Error": _ERROR},
        },
    }


def _schemas() -> _Json:
    models: set[Model] = set()
    for operation in OPERATIONS:
        answers = (model for _, model in operation.answers)
        models |= {model for model in (operation.request, *operation.events, *answers) if model is not None}
    ordered = sorted(models, key=lambda model: model.__name__)
    _, document = models_json_schema(
        [(model, "validation") for model in ordered], ref_template=f"{_REF}{{model}}"
    )
    schemas: _Json = document["$defs"]
    for name, fields in _ACCEPTED.items():
        schemas[name]["properties"] |= {field: {"description": _NO_EFFECT} for field in sorted(fields)}
    for name, refused in _REFUSED.items():
        schemas[name]["properties"] |= {
            field: {"enum": list(off_values), "description": _NOT_SERVED}
            for field, off_values in sorted(refused.items())
        }
    return schemas


def _operation(operation: Operation) -> _Json:
    described: _Json = {
        "operationId": operation.method + operation.path.replace("/v1", "").translate(_WORDS),
        "summary": operation.summary,
        "responses": {
            **{str(status): _answer(operation, status, model) for status, model in operation.answers},
            **_failures((*ALWAYS, *operation.errors)),
        },
    }
    parameters = [_path_parameter()] if "{id}" in operation.path else []
    parameters += [_query_parameter(name, values) for name, values in operation.query]
    if parameters:
        described["parameters"] = parameters
    if operation.request is not None:
        described["requestBody"] = {
            "required": operation.is_body_required,
            "content": {"application/json": {"schema": _reference(operation.request)}},
        }
    return described


_WORDS = str.maketrans({"/": "_", ".": "_", "{": "", "}": ""})


def _answer(operation: Operation, status: int, model: Model | None) -> _Json:
    schema = {"type": "object"} if model is None else _reference(model)
    content: _Json = {"application/json": {"schema": schema}}
    if operation.events:
        content[sse.CONTENT_TYPE.partition(";")[0]] = {
            "schema": {
                "description": _FRAMES,
                "x-event-schema": {"anyOf": [_reference(event) for event in operation.events]},
            }
        }
    return {"description": HTTPStatus(status).phrase, "content": content}


def _failures(errors: Iterable[type[GptOssError]]) -> _Json:
    by_status: dict[int, list[type[GptOssError]]] = {}
    for error in dict.fromkeys(errors):
        by_status.setdefault(error.status, []).append(error)
    failures: _Json = {}
    for status, same in sorted(by_status.items()):
        failure: _Json = {
            "description": ", ".join(f"`{error.code}`" for error in same),
            "content": {"application/json": {"schema": {"$ref": f"{_REF}Error"}}},
        }
        if any(issubclass(error, CapacityError) for error in same):
            failure["headers"] = {
                "Retry-After": {
                    "schema": {"type": "integer"},
                    "description": "Seconds to wait, where it helps.",
                }
            }
        failures[str(status)] = failure
    return failures


def _status_page() -> _Json:
    page = {"description": "The page", "content": {"text/html": {"schema": {"type": "string"}}}}
    return {
        "operationId": "get_status_page",
        "summary": "A page for people",
        "responses": {
            "200": page,
            "302": {"description": "A browser without access is sent to log in."},
            **_failures(ALWAYS),
        },
    }


def _path_parameter() -> _Json:
    return {"name": "id", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}


def _query_parameter(name: str, values: tuple[Any, ...] | None) -> _Json:
    match values:
        case (int() as least, int() as greatest):
            schema: _Json = {"type": "integer", "minimum": least, "maximum": greatest}
        case None:
            schema = {"type": "string"}
        case _:
            schema = {"type": "string", "enum": list(values)}
    return {"name": name, "in": "query", "required": False, "schema": schema}


def _reference(model: Model) -> _Json:
    return {"$ref": f"{_REF}{model.__name__}"}
