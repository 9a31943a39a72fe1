"""What each route takes, gives, and may fail with: the table that the OpenAPI document is written from.

A test holds it against the routes themselves.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel

from jupyter_mlx_gpt_oss.errors import (
    AuthenticationError,
    CapacityError,
    ContextLengthError,
    EngineDeadError,
    EngineError,
    GptOssError,
    IdentityUnavailableError,
    InvalidRequestError,
    MethodNotAllowedError,
    ModelLoadError,
    ModelNotFoundError,
    NotFoundError,
    OutOfMemoryError,
    PermissionDeniedError,
    RequestTooLargeError,
    ServerStoppingError,
    UnsupportedFeatureError,
)
from jupyter_mlx_gpt_oss.protocol.chat_answers import ChatCompletion, ChatCompletionChunk
from jupyter_mlx_gpt_oss.protocol.chat_completions import ChatCompletionRequest
from jupyter_mlx_gpt_oss.protocol.completion_answers import Completion
from jupyter_mlx_gpt_oss.protocol.completions import CompletionRequest
from jupyter_mlx_gpt_oss.protocol.models import LoadRequest, ModelCard, ModelList, ModelState
from jupyter_mlx_gpt_oss.protocol.response_answers import DeletedResponse, InputItemList, Response
from jupyter_mlx_gpt_oss.protocol.response_events import (
    DeltaEvent,
    DoneEvent,
    ItemEvent,
    LifecycleEvent,
    PartEvent,
)
from jupyter_mlx_gpt_oss.protocol.responses import ResponsesRequest
from jupyter_mlx_gpt_oss.protocol.tokenize import DetokenizeRequest, Text, TokenizeRequest, Tokens

Errors = tuple[type[GptOssError], ...]
Model = type[BaseModel]


def leaves(error: type[GptOssError]) -> Iterator[type[GptOssError]]:
    """Yield the errors below one that are raised as they are."""
    children = error.__subclasses__()
    for child in children:
        yield from leaves(child)
    if not children:
        yield error


ALWAYS: Errors = (
    InvalidRequestError,
    AuthenticationError,
    PermissionDeniedError,
    IdentityUnavailableError,
    MethodNotAllowedError,
    GptOssError,
)
WITH_BODY: Errors = (RequestTooLargeError, ServerStoppingError)
GENERATING: Errors = (
    *WITH_BODY,
    UnsupportedFeatureError,
    ContextLengthError,
    *leaves(CapacityError),
    *leaves(EngineError),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One method of one route."""

    method: Literal["get", "post", "delete"]
    path: str
    """Below `gpt-oss`; `{id}` stands for a name."""
    summary: str
    request: Model | None = None
    answers: tuple[tuple[int, Model | None], ...] = ((200, None),)
    """By status; None: a JSON object without a model of its own."""
    is_body_required: bool = True
    events: tuple[Model, ...] = ()
    """What the frames of a stream hold, where there may be one."""
    errors: Errors = ()
    """Besides those that any route may fail with."""
    query: tuple[tuple[str, tuple[str, ...] | tuple[int, int] | None], ...] = ()
    """Query parameters, with their values, or their least and greatest; None: any text."""


_LOADING = (*WITH_BODY, ModelLoadError, OutOfMemoryError, EngineDeadError, *leaves(EngineError))

OPERATIONS: tuple[Operation, ...] = (
    Operation(method="get", path="/health", summary="How the engine is", answers=((200, None), (503, None))),
    Operation(method="get", path="/openapi.json", summary="This document"),
    Operation(method="get", path="/v1/models", summary="The model as a list", answers=((200, ModelList),)),
    Operation(
        method="get",
        path="/v1/models/{id}",
        summary="The model; an id may hold slashes",
        answers=((200, ModelCard),),
        errors=(ModelNotFoundError,),
    ),
    Operation(
        method="post",
        path="/v1/load",
        summary="Load the model, or another",
        request=LoadRequest,
        is_body_required=False,
        answers=((200, ModelCard), (202, ModelState)),
        errors=(*_LOADING, ModelNotFoundError),
    ),
    Operation(
        method="post",
        path="/v1/unload",
        summary="Give the model's memory back",
        answers=((200, ModelState),),
        errors=(ServerStoppingError,),
    ),
    Operation(
        method="post",
        path="/v1/chat/completions",
        summary="Answer a conversation",
        request=ChatCompletionRequest,
        answers=((200, ChatCompletion),),
        events=(ChatCompletionChunk,),
        errors=GENERATING,
    ),
    Operation(
        method="post",
        path="/v1/completions",
        summary="Go on after raw text or token ids",
        request=CompletionRequest,
        answers=((200, Completion),),
        events=(Completion,),
        errors=GENERATING,
    ),
    Operation(
        method="post",
        path="/v1/tokenize",
        summary="The tokens of a text or of messages",
        request=TokenizeRequest,
        answers=((200, Tokens),),
        errors=WITH_BODY,
    ),
    Operation(
        method="post",
        path="/v1/detokenize",
        summary="The text of tokens",
        request=DetokenizeRequest,
        answers=((200, Text),),
        errors=WITH_BODY,
    ),
    Operation(
        method="post",
        path="/v1/responses",
        summary="Answer with items",
        request=ResponsesRequest,
        answers=((200, Response),),
        events=(LifecycleEvent, ItemEvent, PartEvent, DeltaEvent, DoneEvent),
        errors=(*GENERATING, NotFoundError),
    ),
    Operation(
        method="get",
        path="/v1/responses/{id}",
        summary="A response that is kept",
        answers=((200, Response),),
        errors=(NotFoundError,),
        query=(("stream", ("false",)),),
    ),
    Operation(
        method="delete",
        path="/v1/responses/{id}",
        summary="Keep a response no longer",
        answers=((200, DeletedResponse),),
        errors=(NotFoundError,),
    ),
    Operation(
        method="get",
        path="/v1/responses/{id}/input_items",
        summary="What a response was asked with",
        answers=((200, InputItemList),),
        errors=(NotFoundError,),
        query=(("after", None), ("limit", (1, 100)), ("order", ("asc", "desc"))),
    ),
    Operation(
        method="post",
        path="/v1/responses/{id}/cancel",
        summary="End a response while it is streamed",
        answers=((200, Response),),
        errors=(NotFoundError,),
    ),
)
