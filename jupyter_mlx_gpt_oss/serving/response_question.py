"""A response's request to the chat completion that answers it, with the items that it goes on from."""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from jupyter_mlx_gpt_oss.errors import ContextLengthError, RequestError
from jupyter_mlx_gpt_oss.harmony.fields import require_text
from jupyter_mlx_gpt_oss.protocol.chat_completions import ChatCompletionRequest
from jupyter_mlx_gpt_oss.protocol.response_answers import Response
from jupyter_mlx_gpt_oss.protocol.responses import ResponsesRequest
from jupyter_mlx_gpt_oss.protocol.sampling_fields import StreamOptions
from jupyter_mlx_gpt_oss.serving.chat_completions import ChatCompletions
from jupyter_mlx_gpt_oss.serving.response_items import (
    JsonObject,
    chat_response_format,
    chat_tool_choice,
    chat_tools,
    id_prefix,
    kind_of,
    messages_of,
)
from jupyter_mlx_gpt_oss.serving.response_store import ResponseStore

_log = logging.getLogger(__name__)
_PROMPT_SHARE = 0.75  # of the context, once the prompt did not fit; the rest is for the answer
_OWN_NAMES = (
    ("response_format.json_schema", "text.format"),
    ("response_format", "text.format"),
    ("].function", "]"),
    ("tool_choice.function", "tool_choice"),
    ("tool_choice.allowed_tools", "tool_choice"),
    ("messages", "input"),
)


@dataclass(frozen=True, slots=True)
class Question:
    """A request, read."""

    request: ResponsesRequest
    context: tuple[JsonObject, ...]
    """Items of the responses before it."""
    items: tuple[JsonObject, ...]
    """Its own, each with an id."""
    chat: ChatCompletionRequest
    head: Response
    """The response as it begins."""

    def shorter(self, chat: ChatCompletionRequest, error: ContextLengthError) -> ChatCompletionRequest | None:
        """Return a chat completion of less of the conversation; None where that was not asked for, or nothing can go."""
        room = _PROMPT_SHARE * error.max_context_tokens
        share = 1 - room / max(error.num_prompt_tokens, 1)
        shorter = shortened(chat.messages, share)
        if self.request.truncation != "auto" or len(shorter) == len(chat.messages):
            return None
        return chat.model_copy(update={"messages": shorter})


@dataclass(frozen=True, slots=True, kw_only=True)
class Questions:
    """Reads one caller's requests.

    Args:
        chat: the caller's chat completions.
        store: the responses of all callers.
        owner: names the caller.
    """

    chat: ChatCompletions
    store: ResponseStore
    owner: str

    def read(self, request: ResponsesRequest) -> Question:
        """Read a request.

        Raises:
            NotFoundError: `previous_response_id` or an item_reference names nothing that is kept.
            InvalidRequestError, UnsupportedFeatureError: an item or a tool that is not served; names the field.
        """
        previous_id = request.previous_response_id
        context: tuple[JsonObject, ...] = ()
        if previous_id is not None:
            context = self.store.get(self.owner, previous_id, param="previous_response_id").conversation
        items = tuple(self._item(item, f"input[{index}]") for index, item in enumerate(request.items))
        messages = messages_of(context, items) or [{"role": "user", "content": ""}]
        if request.instructions:
            messages.insert(0, {"role": "developer", "content": request.instructions})
        tools, others = chat_tools(request.tools or ())
        for kind in sorted(set(others)):
            _log.warning("Tools of type %.40r are not served, and were left out.", kind)
        chat = ChatCompletionRequest(
            messages=messages,
            tools=tools,
            tool_choice=chat_tool_choice(request.tool_choice),
            response_format=chat_response_format(request.text.format if request.text else None),
            reasoning_effort=request.effort,
            max_completion_tokens=request.max_output_tokens,
            temperature=request.temperature,
            top_p=request.top_p,
            logprobs=request.has_logprobs,
            top_logprobs=request.top_logprobs,
            stream_options=StreamOptions(include_usage=True),
        )
        return Question(request, context, items, chat, self._head(request))

    def _item(self, item: JsonObject, param: str) -> JsonObject:
        """Return an item with its type and an id, a reference as what it refers to."""
        kind = kind_of(item, param)
        if kind == "item_reference":
            path = f"{param}.id"
            return self.store.item(self.owner, require_text(item.get("id"), path), param=path)
        given = item.get("id")
        item_id = given if isinstance(given, str) and given else self.chat.new_id(id_prefix(kind))
        return {**item, "type": kind, "id": item_id}

    def _head(self, request: ResponsesRequest) -> Response:
        text = request.text.model_dump(exclude_none=True) if request.text else {}
        return Response(
            id=self.chat.new_id("resp_"),
            object="response",
            created_at=int(self.chat.prompts.clock()),
            status="in_progress",
            background=False,
            error=None,
            incomplete_details=None,
            instructions=request.instructions,
            max_output_tokens=request.max_output_tokens,
            metadata=request.metadata or {},
            model=self.chat.model_name,
            output=[],
            parallel_tool_calls=request.parallel_tool_calls is not False,
            previous_response_id=request.previous_response_id,
            reasoning={"effort": request.effort, "summary": None},
            store=request.is_stored,
            temperature=1.0 if request.temperature is None else request.temperature,
            text={"format": {"type": "text"}} | text,
            tool_choice=request.tool_choice or "auto",
            tools=request.tools or [],
            top_logprobs=request.top_logprobs or 0,
            top_p=1.0 if request.top_p is None else request.top_p,
            truncation=request.truncation or "disabled",
            usage=None,
        )


def shortened(messages: Sequence[JsonObject], share: float) -> list[JsonObject]:
    """Return a conversation without its oldest turns, at least one, and about a share of its text.

    Instructions stay, and so does the last message of the user with all that follows it.
    """
    starts = [index for index, message in enumerate(messages) if message["role"] == "user"]
    if not starts:
        return [*messages]
    sizes = [len(json.dumps(message)) for message in messages]
    enough = share * sum(sizes)
    cut = next((start for start in starts[1:] if sum(sizes[:start]) >= enough), starts[-1])
    instructions = [message for message in messages[:cut] if message["role"] in {"system", "developer"}]
    return [*instructions, *messages[cut:]]


def in_own_names(error: RequestError) -> RequestError:
    """Return an error about a chat completion as one about a response, with the names of its fields."""
    if isinstance(error, ContextLengthError):
        error.param = "input"
        return error
    message, param = error.message, error.param or ""
    for chat_name, own_name in _OWN_NAMES:
        message, param = message.replace(chat_name, own_name), param.replace(chat_name, own_name)
    return type(error)(message, param=param or None)
