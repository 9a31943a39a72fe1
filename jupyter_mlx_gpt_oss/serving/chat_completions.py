"""One chat completion: a checked request to chunks, and chunks to the whole answer, which is their fold.

Ids and times are made here, once. Knows no HTTP.
"""

import asyncio
import datetime as dt
import hashlib
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass

from jupyter_mlx_gpt_oss.engine.base import Engine
from jupyter_mlx_gpt_oss.engine.request import GenerationRequest, Progress
from jupyter_mlx_gpt_oss.engine.sampling import SamplingParams
from jupyter_mlx_gpt_oss.harmony import STOP_TOKEN_IDS, HarmonyParser, Prompt, render_prompt
from jupyter_mlx_gpt_oss.protocol.chat_answers import ChatCompletion, ChatCompletionChunk
from jupyter_mlx_gpt_oss.protocol.chat_completions import ChatCompletionRequest
from jupyter_mlx_gpt_oss.serving.chat_chunks import ChunkWriter
from jupyter_mlx_gpt_oss.serving.chat_fold import ChatCompletionFold
from jupyter_mlx_gpt_oss.serving.generation import Generation

ALL_THAT_FITS = 2**31 - 1
"""As max_tokens: the engine ends the answer where the context ends."""
_SAMPLING_FIELDS = {
    "temperature",
    "top_p",
    "min_p",
    "presence_penalty",
    "frequency_penalty",
    "repetition_penalty",
    "repetition_context_size",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatCompletions:
    """What `v1/chat/completions` does.

    Args:
        engine: where the tokens come from.
        model_name: the model as configured; answers name it until the engine knows better.
        new_id: makes an unguessable id that starts with the given prefix.
        clock: seconds since 1970.
        version: this package's; a part of the fingerprint.
    """

    engine: Engine
    model_name: str
    new_id: Callable[[str], str]
    clock: Callable[[], float]
    version: str

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
        generation = await asyncio.to_thread(self._generation, request, completion_id)
        writer = ChunkWriter(
            lambda: self._head(request, completion_id),
            new_id=self.new_id,
            is_reasoning_hidden=request.is_reasoning_hidden,
        )
        async with aclosing(generation.items()) as items:
            async for item in items:
                if isinstance(item, Progress):
                    yield item
                    continue
                for chunk in writer.write(item):
                    yield chunk

    def _render(self, request: ChatCompletionRequest) -> Prompt:
        now = dt.datetime.fromtimestamp(self.clock(), tz=dt.UTC)
        return render_prompt(
            request.messages,
            request.offered_tools,
            reasoning_effort=request.effort,
            current_date=now.astimezone().date(),
            response_format=request.response_format,
            tool_choice=request.choice,
        )

    def _generation(self, request: ChatCompletionRequest, request_id: str) -> Generation:
        prompt = self._render(request)
        parser = HarmonyParser(tool_names(request))
        for token_id in prompt.opened:
            parser.feed(token_id)
        generation_request = GenerationRequest(
            request_id=request_id,
            prompt_token_ids=prompt.token_ids,
            max_tokens=request.token_limit or ALL_THAT_FITS,
            stop_token_ids=STOP_TOKEN_IDS,
            sampling=sampling_of(request),
        )
        return Generation(self.engine, generation_request, parser, request.stop or ())

    def _head(self, request: ChatCompletionRequest, completion_id: str) -> ChatCompletionChunk:
        model = self.engine.status().model
        name = model.name if model else self.model_name
        head = ChatCompletionChunk(
            id=completion_id,
            object="chat.completion.chunk",
            created=int(self.clock()),
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
    return tuple(tool["function"]["name"] for tool in request.offered_tools if tool["type"] == "function")


def sampling_of(request: ChatCompletionRequest) -> SamplingParams:
    """Return the sampling parameters of a request; GPT-OSS's own defaults where it says nothing."""
    asked = request.model_dump(include=_SAMPLING_FIELDS, exclude_none=True)
    seed = (
        None if request.seed is None else request.seed % 2**64
    )  # OpenAI's is signed, a random state's is not
    return SamplingParams(**asked, seed=seed, logit_bias=request.token_biases)


def system_fingerprint(version: str, model_name: str, quantization: str | None) -> str:
    """Return what changes when equal requests may be answered differently: this package or the model."""
    text = "\n".join((version, model_name, quantization or ""))
    return f"fp_{hashlib.sha256(text.encode()).hexdigest()[:10]}"
