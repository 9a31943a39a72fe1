"""One chat completion: a checked request to chunks, and chunks to the whole answer, which is their fold.

Ids and times are made here, once. Knows no HTTP.
"""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import cache, partial

from jupyter_mlx_gpt_oss.engine.base import Engine
from jupyter_mlx_gpt_oss.engine.request import GenerationRequest, Progress
from jupyter_mlx_gpt_oss.harmony import STOP_TOKEN_IDS, HarmonyParser, Prompt
from jupyter_mlx_gpt_oss.protocol.chat_answers import (
    ChatCompletion,
    ChatCompletionChunk,
    ChunkChoice,
    Message,
)
from jupyter_mlx_gpt_oss.protocol.chat_completions import ChatCompletionRequest
from jupyter_mlx_gpt_oss.serving.background import Background
from jupyter_mlx_gpt_oss.serving.chat_chunks import ChoiceWriter, usage_of
from jupyter_mlx_gpt_oss.serving.chat_fold import ChatCompletionFold, ChoiceFold
from jupyter_mlx_gpt_oss.serving.chat_prompt import ChatPrompts
from jupyter_mlx_gpt_oss.serving.generation import AnswerItem, Finished, Generation
from jupyter_mlx_gpt_oss.serving.interleave import interleave
from jupyter_mlx_gpt_oss.serving.legacy_names import legacy_names
from jupyter_mlx_gpt_oss.serving.metrics import Metrics
from jupyter_mlx_gpt_oss.serving.places import in_places
from jupyter_mlx_gpt_oss.serving.sampling import sampling_of

ALL_THAT_FITS = 2**31 - 1
"""As max_tokens: the engine ends the answer where the context ends."""


class _Answer:
    """One of the answers to a request: what is generated, what is written, and what that adds up to."""

    def __init__(self, generation: Generation, writer: ChoiceWriter) -> None:
        self.generation = generation
        self.finished: Finished | None = None
        self._writer = writer
        self._fold = ChoiceFold()

    def take(self, item: AnswerItem) -> ChunkChoice | None:
        """Take the next item, and return what the chunk says of it."""
        choice = self._writer.write(item)
        if choice is not None:
            self._fold.add(choice)
        if isinstance(item, Finished):
            self.finished = item
        return choice

    @property
    def message(self) -> Message:
        """What was sent out so far."""
        return self._fold.message()


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatCompletions:
    """What `v1/chat/completions` does for one caller.

    Args:
        engine: where the tokens come from.
        prompts: renders the caller's prompts.
        metrics: measures every answer.
        background: does what need not be done before the answer ends.
        model_name: the model as configured; answers name it until the engine knows better.
        new_id: makes an unguessable id that starts with the given prefix.
        version: this package's; a part of the fingerprint.
        max_open: answers of the caller at once; None: as many as there are.
    """

    engine: Engine
    prompts: ChatPrompts
    metrics: Metrics
    background: Background
    model_name: str
    new_id: Callable[[str], str]
    version: str
    max_open: int | None = None

    @staticmethod
    def read(body: bytes) -> ChatCompletionRequest:
        """Read a request; raises what `ChatCompletionRequest.from_json` raises."""
        return ChatCompletionRequest.from_json(body)

    async def stream(
        self, request: ChatCompletionRequest
    ) -> AsyncGenerator[Progress | ChatCompletionChunk, None]:
        """Yield progress, then the chunks; the chunk of usage only if the request asked for it.

        Closing the iterator early aborts the generation.

        Raises:
            InvalidRequestError: a message or tool cannot be rendered; before the first item.
            RequestTooLargeError, ContextLengthError: the prompt is beyond the limits; before the first item.
            GptOssError: whatever `Engine.generate` raises, at any item.
        """
        async with aclosing(self._chunks(request)) as items:
            async for item in items:
                if isinstance(item, Progress) or item.choices or request.is_usage_streamed:
                    yield item

    async def complete(
        self, request: ChatCompletionRequest
    ) -> AsyncGenerator[Progress | ChatCompletion, None]:
        """Yield progress, then the whole answer as the last item; closes and raises as `stream` does."""
        fold = ChatCompletionFold()
        async with aclosing(self._chunks(request)) as items:
            async for item in items:
                if isinstance(item, Progress):
                    yield item
                else:
                    fold.add(item)
        yield fold.whole()

    async def _chunks(
        self, request: ChatCompletionRequest
    ) -> AsyncGenerator[Progress | ChatCompletionChunk, None]:
        completion_id = self.new_id("chatcmpl-")
        # A long prompt, and the first one that loads the vocabulary, take long, and this loop is Jupyter's.
        prompt, answers = await asyncio.to_thread(self._begin, request, completion_id)
        head = cache(partial(self._head, request, completion_id))  # with the first choice the model is known
        with legacy_names(request):  # the engine refuses schemas too
            async with aclosing(self._choices(request, prompt, answers)) as items:
                async for item in items:
                    yield (
                        item if isinstance(item, Progress) else head().model_copy(update={"choices": [item]})
                    )
        usage = usage_of([answer.finished for answer in answers if answer.finished is not None])
        yield head().model_copy(update={"usage": usage})

    async def _choices(
        self, request: ChatCompletionRequest, prompt: Prompt, answers: Sequence[_Answer]
    ) -> AsyncGenerator[Progress | ChunkChoice, None]:
        async with aclosing(
            interleave(in_places([answer.generation.items for answer in answers]), self.max_open)
        ) as items:
            async for index, item in items:
                if isinstance(item, Progress):
                    said: Progress | ChunkChoice | None = item if index == 0 else None
                else:
                    said = answers[index].take(item)
                if isinstance(item, Finished):  # before the client can know, and send its next request
                    self._look_ahead(request, prompt, answers[index])
                if said is not None:
                    yield said

    def _begin(self, request: ChatCompletionRequest, completion_id: str) -> tuple[Prompt, list[_Answer]]:
        """Render the prompt, and make ready what answers it."""
        prompt = self.prompts.prompt(request)
        first = GenerationRequest(
            request_id=completion_id,
            prompt_token_ids=prompt.token_ids,
            max_tokens=request.token_limit or ALL_THAT_FITS,
            stop_token_ids=STOP_TOKEN_IDS,
            boundaries=prompt.boundaries,
            num_logprobs=request.num_logprobs,
            grammar=self.prompts.grammar(request, prompt),
            sampling=sampling_of(request, 0),
            caller=self.prompts.owner,
        )
        return prompt, [self._answer(request, prompt, first, index) for index in range(request.n or 1)]

    def _answer(
        self, request: ChatCompletionRequest, prompt: Prompt, first: GenerationRequest, index: int
    ) -> _Answer:
        parser = HarmonyParser(tool_names(request))
        for token_id in prompt.opened:
            parser.feed(token_id)
        generated = first
        if index:
            name = f"{first.request_id}-{index}"
            generated = replace(first, request_id=name, sampling=sampling_of(request, index))
        source = self.metrics.measured(self.engine)
        writer = ChoiceWriter(index, new_id=self.new_id, is_reasoning_hidden=request.is_reasoning_hidden)
        return _Answer(Generation(source, generated, parser, request.stop or ()), writer)

    def _look_ahead(self, request: ChatCompletionRequest, prompt: Prompt, answer: _Answer) -> None:
        """Prepare what the client is likely to send next: the results of the calls, or another message."""
        message = answer.message
        if message.tool_calls:
            self.prompts.keep_turn(prompt, answer.generation.output_token_ids, message)
        elif message.content and (request.n or 1) == 1 and request.messages[-1]["role"] != "assistant":
            self.background.start(self._precompute(request, message.content))

    async def _precompute(self, request: ChatCompletionRequest, answer: str) -> None:
        self.engine.precompute(await asyncio.to_thread(self.prompts.history, request, answer))

    def _head(self, request: ChatCompletionRequest, completion_id: str) -> ChatCompletionChunk:
        model = self.engine.status().model
        name = model.name if model else self.model_name
        head = ChatCompletionChunk(
            id=completion_id,
            object="chat.completion.chunk",
            created=int(self.prompts.clock()),
            model=name,
            system_fingerprint=system_fingerprint(self.version, name, model.quantization if model else None),
            choices=[],
        )
        if request.is_usage_streamed:
            head.usage = None  # set, so that every chunk has the field, as OpenAI's have
        return head


def tool_names(request: ChatCompletionRequest) -> tuple[str, ...]:
    """Return the names that the model may call; checked by the renderer before."""
    if request.choice == "none":
        return ()
    tools = request.offered_tools
    return tuple("python" if tool["type"] == "python" else tool["function"]["name"] for tool in tools)


def system_fingerprint(version: str, model_name: str, quantization: str | None) -> str:
    """Return what changes when equal requests may be answered differently: this package or the model."""
    text = "\n".join((version, model_name, quantization or ""))
    return f"fp_{hashlib.sha256(text.encode()).hexdigest()[:10]}"
