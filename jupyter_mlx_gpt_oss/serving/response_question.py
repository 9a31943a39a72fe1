"""A response's request to the chat completion that answers it, with the items that it goes on from."""

import json
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from jupyter_mlx_gpt_oss.errors import ContextLengthError, InvalidRequestError, RequestError
from jupyter_mlx_gpt_oss.harmony.fields import require_text
from jupyter_mlx_gpt_oss.protocol.chat_completions import ChatCompletionRequest
from jupyter_mlx_gpt_oss.protocol.response_answers import Response
from jupyter_mlx_gpt_oss.protocol.responses import ResponsesRequest
from jupyter_mlx_gpt_oss.protocol.sampling_fields import StreamOptions
from jupyter_mlx_gpt_oss.serving.chat_completions import ChatCompletions
from jupyter_mlx_gpt_oss.serving.response_items import JsonObject, id_prefix, kind_of, messages_of
from jupyter_mlx_gpt_oss.serving.response_store import ResponseStore
from jupyter_mlx_gpt_oss.serving.response_tools import (
    OTHER_TOOLS,
    ServedTools,
    chat_response_format,
    chat_tool_choice,
    chat_tools,
)

_log = logging.getLogger(__name__)
_PROMPT_SHARE = 0.75  # of the context, once the prompt did not fit; the rest is for the answer
_DROPPED_SHARE = 0.5  # of the text, where that is too large to be encoded
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
    num_bytes: int
    """Of context and items, as JSON; 0 where the response is not to be kept."""
    tools: ServedTools

    def in_own_names(self, error: RequestError) -> RequestError:
        """Return an error about the chat completion as one about this request, with the names of its fields."""
        if isinstance(error, ContextLengthError):
            error.param = "input"
            return error
        message, param = error.message, error.param or ""
        for chat_name, own_name in _OWN_NAMES:
            message, param = message.replace(chat_name, own_name), param.replace(chat_name, own_name)
        message, param = self.tools.in_own_places(message), self.tools.in_own_places(param)
        return type(error)(message, param=param or None)

    def shorter(self, chat: ChatCompletionRequest, error: RequestError) -> ChatCompletionRequest | None:
        """Return a chat completion of less of the conversation; None where that was not asked for, or nothing can go.

        Args:
            chat: what was too long.
            error: what was said of it: ContextLengthError has the numbers, RequestTooLargeError none.
        """
        share = _DROPPED_SHARE
        if isinstance(error, ContextLengthError):
            room = _PROMPT_SHARE * error.max_context_tokens
            share = 1 - room / max(error.num_prompt_tokens, 1)
        shorter = shortened(chat.messages, share)
        if self.request.truncation != "auto" or len(shorter) == len(chat.messages):
            return None
        return chat.model_copy(update={"messages": shorter})


@dataclass(frozen=True, slots=True, kw_only=True)
class Questions:
    """Reads one caller's requests. Takes time that grows with the conversation, and is called in a thread.

    Args:
        chat: the caller's chat completions.
        store: the responses of all callers.
        owner: names the caller.
        max_items: items that a conversation may have.
    """

    chat: ChatCompletions
    store: ResponseStore
    owner: str
    max_items: int

    def read(self, request: ResponsesRequest) -> Question:
        """Read a request.

        Raises:
            NotFoundError: `previous_response_id` or an item_reference names nothing that is kept.
            InvalidRequestError, UnsupportedFeatureError: too many items, or an item or a tool that is not served; names
                the field.
        """
        context = self._context(request)
        items = tuple(self._item(item, f"input[{index}]") for index, item in enumerate(request.items))
        _check_ids(context, items)
        messages = messages_of(context, items) or [{"role": "user", "content": ""}]
        if request.instructions:
            messages.insert(0, {"role": "developer", "content": request.instructions})
        num_bytes = num_bytes_of((*context, *items)) if request.is_stored else 0
        tools = chat_tools(request.tools or ())
        for kind in sorted({kind if kind in OTHER_TOOLS else "unknown" for kind in tools.others}):
            _log.warning("Tools of type %s are not served, and were left out.", kind)
        chat = _chat_request(request, messages, tools.tools)
        return Question(request, context, items, chat, self._head(request), num_bytes, tools)

    def _context(self, request: ResponsesRequest) -> tuple[JsonObject, ...]:
        """Return the items that the request goes on from, once they and its own are few enough."""
        num_own = len(request.items)
        if num_own > self.max_items:
            message = f"input has {num_own} items; at most {self.max_items} are taken."
            raise InvalidRequestError(message, param="input")
        param = "previous_response_id"
        if request.previous_response_id is None:
            return ()
        context = self.store.get(self.owner, request.previous_response_id, param=param).conversation
        if len(context) + num_own > self.max_items:
            message = (
                f"The conversation has {len(context) + num_own} items; at most {self.max_items} are taken. "
                "Send the part that matters as input."
            )
            raise InvalidRequestError(message, param=param)
        return context

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


def _check_ids(context: Sequence[JsonObject], items: Sequence[JsonObject]) -> None:
    """See that no item stands twice in a conversation: a reference costs its client nothing, and could repeat for ever.

    Raises:
        InvalidRequestError: one does; names it.
    """
    known = {item["id"] for item in context}
    for index, item in enumerate(items):
        if item["id"] in known:
            message = f"Item {item['id'][:100]!r} stands in the conversation already. Leave it out."
            raise InvalidRequestError(message, param=f"input[{index}].id")
        known.add(item["id"])


def _chat_request(
    request: ResponsesRequest, messages: list[JsonObject], tools: list[JsonObject]
) -> ChatCompletionRequest:
    return ChatCompletionRequest(
        messages=messages,
        tools=tools,
        tool_choice=chat_tool_choice(request.tool_choice),
        response_format=chat_response_format(request.text.format if request.text else None),
        reasoning_effort=request.effort,
        continue_final_message=False,  # an item of the assistant is history
        max_completion_tokens=request.max_output_tokens,
        temperature=request.temperature,
        top_p=request.top_p,
        logprobs=request.has_logprobs,
        top_logprobs=request.top_logprobs,
        stream_options=StreamOptions(include_usage=True),
    )


def num_bytes_of(items: Iterable[JsonObject]) -> int:
    """Return what items take as JSON; written one by one, because each holds Python's lock while it is written."""
    return sum(len(json.dumps(item)) for item in items)


def shortened(messages: Sequence[JsonObject], share: float) -> list[JsonObject]:
    """Return a conversation without its oldest turns, at least one, and about a share of its text.

    Instructions stay, and so does the last message of the user with all that follows it.
    """
    starts = [index for index, message in enumerate(messages) if message["role"] == "user"]
    if not starts:
        return [*messages]
    sizes = [len(json.dumps(message)) for message in messages]
    turns = (0 if _is_instruction(message) else size for message, size in zip(messages, sizes, strict=True))
    before = [0, *accumulate(turns)]
    enough = share * sum(sizes)  # of what stays too, so that one time is enough
    cut = next((start for start in starts[1:] if before[start] >= enough), starts[-1])
    kept = [*filter(_is_instruction, messages[:cut]), *messages[cut:]]
    calls = {call["id"] for message in kept for call in message.get("tool_calls") or ()}
    # The result of a call that is gone would be the result of nothing.
    return [message for message in kept if message["role"] != "tool" or message["tool_call_id"] in calls]


def _is_instruction(message: JsonObject) -> bool:
    return message["role"] in {"system", "developer"}
