"""Raw completions: a checked request to chunks, and chunks to the whole answer, which is their fold.

What is text in a request stays text: only token ids can put a control token into a prompt. Knows no HTTP.
"""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass

from jupyter_mlx_gpt_oss.engine.base import Engine
from jupyter_mlx_gpt_oss.engine.request import GenerationRequest, Progress
from jupyter_mlx_gpt_oss.errors import ContextLengthError, RequestError
from jupyter_mlx_gpt_oss.harmony import STOP_TOKEN_IDS
from jupyter_mlx_gpt_oss.harmony.encoding import END, END_OF_TEXT
from jupyter_mlx_gpt_oss.harmony.prompt_parts import NO_LIMITS, PromptLimits, check_bytes, encode_sections
from jupyter_mlx_gpt_oss.protocol.chat_answers import PromptTokensDetails
from jupyter_mlx_gpt_oss.protocol.completion_answers import Completion, CompletionChoice, CompletionUsage
from jupyter_mlx_gpt_oss.protocol.completions import CompletionRequest, Prompt
from jupyter_mlx_gpt_oss.serving.chat_completions import system_fingerprint
from jupyter_mlx_gpt_oss.serving.completion_chunks import CompletionWriter
from jupyter_mlx_gpt_oss.serving.completion_fold import CompletionFold
from jupyter_mlx_gpt_oss.serving.completion_grammar import completion_grammar
from jupyter_mlx_gpt_oss.serving.interleave import interleave
from jupyter_mlx_gpt_oss.serving.metrics import Metrics
from jupyter_mlx_gpt_oss.serving.places import in_places
from jupyter_mlx_gpt_oss.serving.raw_generation import RawGeneration
from jupyter_mlx_gpt_oss.serving.sampling import sampling_of

_MESSAGE_ENDS = frozenset({END, *STOP_TOKEN_IDS})


@dataclass(frozen=True, slots=True)
class _Answer:
    """One of the answers: what is generated, and what is written."""

    generation: RawGeneration
    writer: CompletionWriter


@dataclass(frozen=True, slots=True, kw_only=True)
class Completions:
    """What `v1/completions` does.

    Args:
        engine: where the tokens come from.
        metrics: measures every answer.
        model_name: the model as configured; answers name it until the engine knows better.
        new_id: makes an unguessable id that starts with the given prefix.
        version: this package's; a part of the fingerprint.
        clock: seconds since 1970.
        owner: names the caller.
        is_shared: whether the caller asks for several people, whom `user` tells apart.
        limits: of the prompts; their bytes, of all prompts together.
        max_open: answers of the caller at once; None: as many as there are.
    """

    engine: Engine
    metrics: Metrics
    model_name: str
    new_id: Callable[[str], str]
    version: str
    clock: Callable[[], float]
    owner: str
    is_shared: bool = False
    limits: PromptLimits = NO_LIMITS
    max_open: int | None = None

    @staticmethod
    async def read(body: bytes) -> CompletionRequest:
        """Read a request; raises what `CompletionRequest.from_json` raises. Lists of token ids can be long."""
        return await asyncio.to_thread(CompletionRequest.from_json, body)

    async def stream(self, request: CompletionRequest) -> AsyncGenerator[Progress | Completion, None]:
        """Yield progress, then the chunks; the chunk of usage only if the request asked for it.

        Closing the iterator early aborts the generation.

        Raises:
            InvalidRequestError: a schema or grammar beyond the limits; before the first item.
            RequestTooLargeError, ContextLengthError: a prompt beyond the limits; before the first item.
            GptOssError: whatever `Engine.generate` raises, at any item.
        """
        async with aclosing(self._chunks(request)) as items:
            async for item in items:
                if isinstance(item, Progress) or item.choices or request.is_usage_streamed:
                    yield item

    async def complete(self, request: CompletionRequest) -> AsyncGenerator[Progress | Completion, None]:
        """Yield progress, then the whole answer as the last item; closes and raises as `stream` does."""
        fold = CompletionFold()
        async with aclosing(self._chunks(request)) as items:
            async for item in items:
                if isinstance(item, Progress):
                    yield item
                else:
                    fold.add(item)
        yield fold.whole()

    async def _chunks(self, request: CompletionRequest) -> AsyncGenerator[Progress | Completion, None]:
        completion_id = self.new_id("cmpl-")
        # Long prompts, and the first one that loads the vocabulary, take long, and this loop is Jupyter's.
        answers = await asyncio.to_thread(self._answers, request, completion_id)
        head: Completion | None = None
        async with _own_names(request), aclosing(_choices(answers, self.max_open)) as items:
            async for item in items:
                if isinstance(item, Progress):
                    yield item
                else:
                    head = head or self._head(request, completion_id)  # by now the model is known
                    yield head.model_copy(update={"choices": [item]})
        assert head is not None
        yield head.model_copy(update={"usage": _usage_of(answers, request.n or 1)})

    def _answers(self, request: CompletionRequest, completion_id: str) -> list[_Answer]:
        grammar = completion_grammar(request)
        stop_token_ids = request.stop_token_ids or []
        if not request.ignore_eos:
            stop_token_ids = [*stop_token_ids, *STOP_TOKEN_IDS]
        elif grammar is not None:
            stop_token_ids = [*stop_token_ids, END_OF_TEXT]  # all that may follow a text that is complete
        texts = (prompt for prompt in request.prompts if isinstance(prompt, str))
        check_bytes(texts, self.limits, param="prompt")
        prompts = [self._token_ids(prompt) for prompt in request.prompts]
        num_choices = request.n or 1
        return [
            self._answer(
                request,
                GenerationRequest(
                    request_id=f"{completion_id}-{number * num_choices + index}",
                    prompt_token_ids=prompt,
                    max_tokens=request.token_limit,
                    stop_token_ids=tuple(dict.fromkeys(stop_token_ids)),
                    boundaries=_boundaries(prompt),
                    num_logprobs=request.logprobs,
                    grammar=grammar,
                    sampling=sampling_of(request, index),
                    caller=self._caller(request),
                ),
                number * num_choices + index,
            )
            for number, prompt in enumerate(prompts)
            for index in range(num_choices)
        ]

    def _token_ids(self, prompt: Prompt) -> tuple[int, ...]:
        """Return a prompt's tokens; an empty one begins a document, as OpenAI has it."""
        if isinstance(prompt, str):
            (prompt,) = encode_sections([[prompt]], self.limits, param="prompt")
        return tuple(prompt) or (END_OF_TEXT,)

    def _answer(self, request: CompletionRequest, generated: GenerationRequest, index: int) -> _Answer:
        generation = RawGeneration(
            self.metrics.measured(self.engine),
            generated,
            request.stop or (),
            shows_control_tokens=request.skip_special_tokens is False,
        )
        return _Answer(generation, CompletionWriter(index, request, generated.prompt_token_ids))

    def _caller(self, request: CompletionRequest) -> str:
        """Return who asks. Somebody with a key of their own is one, whatever names they send."""
        if not (self.is_shared and request.user):
            return self.owner
        return hashlib.sha256(f"{self.owner} {request.user}".encode()).hexdigest()

    def _head(self, request: CompletionRequest, completion_id: str) -> Completion:
        model = self.engine.status().model
        name = model.name if model else self.model_name
        head = Completion(
            id=completion_id,
            object="text_completion",
            created=int(self.clock()),
            model=name,
            system_fingerprint=system_fingerprint(self.version, name, model.quantization if model else None),
            choices=[],
        )
        if request.is_usage_streamed:
            head.usage = None  # set, so that every chunk has the field, as OpenAI's have
        return head


async def _choices(
    answers: Sequence[_Answer], max_open: int | None
) -> AsyncGenerator[Progress | CompletionChoice, None]:
    pieces = in_places([answer.generation.pieces for answer in answers])
    async with aclosing(interleave(pieces, max_open)) as items:
        async for index, item in items:
            if isinstance(item, Progress):
                said: Progress | CompletionChoice | None = item if index == 0 else None
            else:
                said = answers[index].writer.write(item)
            if said is not None:
                yield said


def _boundaries(token_ids: Sequence[int]) -> tuple[int, ...]:
    """Return where messages end in a prompt that is a conversation; other prompts are likely to go on from there."""
    return tuple(
        position for position, token_id in enumerate(token_ids, start=1) if token_id in _MESSAGE_ENDS
    )


def _usage_of(answers: Sequence[_Answer], num_choices: int) -> CompletionUsage:
    """Return the usage of all answers; each prompt counts once."""
    generations = [answer.generation for answer in answers]
    firsts = generations[::num_choices]
    num_prompt_tokens = sum(len(generation.request.prompt_token_ids) for generation in firsts)
    num_completion_tokens = sum(generation.num_tokens for generation in generations)
    # One of a prompt's answers computed what the others found in the cache.
    num_cached_tokens = sum(
        min(generation.num_cached_tokens for generation in generations[start : start + num_choices])
        for start in range(0, len(generations), num_choices)
    )
    return CompletionUsage(
        prompt_tokens=num_prompt_tokens,
        completion_tokens=num_completion_tokens,
        total_tokens=num_prompt_tokens + num_completion_tokens,
        prompt_tokens_details=PromptTokensDetails(cached_tokens=num_cached_tokens),
    )


@asynccontextmanager
async def _own_names(request: CompletionRequest) -> AsyncGenerator[None, None]:
    """Name the fields of this route in an error of the engine's."""
    try:
        yield
    except ContextLengthError as error:
        error.param = "prompt"
        raise
    except RequestError as error:
        if error.param is None:  # what is left unnamed is about the grammar
            error.param = "structured_outputs" if request.structured_outputs else "response_format"
        raise
