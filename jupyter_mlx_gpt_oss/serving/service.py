"""What the handlers may ask for, made when it is first asked for: the engine, and the routes' work.

This module is imported when the notebook server starts, so nothing heavy may be imported here: pydantic, Harmony and
the engine come with the first request, outside of the server's loop.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import cached_property
from importlib import import_module
from secrets import token_hex
from types import ModuleType
from typing import TYPE_CHECKING, Any

from jupyter_mlx_gpt_oss.engine.base import REMOTE, Engine, EngineState, EngineStatus
from jupyter_mlx_gpt_oss.errors import GptOssError
from jupyter_mlx_gpt_oss.serving.background import Background
from jupyter_mlx_gpt_oss.serving.config import ServingConfig
from jupyter_mlx_gpt_oss.serving.metrics import Metrics

if TYPE_CHECKING:
    from jupyter_mlx_gpt_oss.harmony.prompt_parts import PromptLimits
    from jupyter_mlx_gpt_oss.protocol.models import ModelCard, ModelState
    from jupyter_mlx_gpt_oss.serving.chat_completions import ChatCompletions
    from jupyter_mlx_gpt_oss.serving.chat_prompt import ChatPrompts
    from jupyter_mlx_gpt_oss.serving.completions import Completions
    from jupyter_mlx_gpt_oss.serving.models import Models
    from jupyter_mlx_gpt_oss.serving.open_responses import OpenResponses
    from jupyter_mlx_gpt_oss.serving.response_store import ResponseStore
    from jupyter_mlx_gpt_oss.serving.responses import Responses
    from jupyter_mlx_gpt_oss.serving.tokenization import Tokenization
    from jupyter_mlx_gpt_oss.serving.turn_memory import TurnMemory


def new_id(prefix: str) -> str:
    """Return an unguessable id that starts with the prefix."""
    return prefix + token_hex(12)


class Service:
    """Owns the engine, the turns that are kept, and the metrics.

    Args:
        make_engine: called once, when something first needs the engine.
        config: limits of the HTTP side.
        model_name: the model as configured, until another is asked for.
        version: this package's.
        max_requests_per_user: answers that one caller may have at once; None: as many as all may.
        clock: seconds since 1970.
    """

    def __init__(
        self,
        *,
        make_engine: Callable[[], Engine],
        config: ServingConfig,
        model_name: str,
        version: str,
        max_requests_per_user: int | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.model_name = self._loaded_name = model_name
        others = config.allowed_models
        self._allowed_models = None if others is None else {model_name, *others}
        self.metrics = Metrics(self.engine_status)
        self._background = Background()
        self._turns: TurnMemory | None = None
        self._stored_responses: ResponseStore | None = None
        self._open_responses: OpenResponses | None = None
        self._make_engine = make_engine
        self._config = config
        self._version = version
        self._max_requests_per_user = max_requests_per_user
        self._clock = clock
        self._started = clock()
        self._began_seconds = time.monotonic()  # the clock may be set back

    @cached_property
    def engine(self) -> Engine:
        """The engine; making it starts nothing."""
        engine = self._make_engine()
        max_chars = self._config.debug_raw_preview_chars
        if not max_chars:
            return engine
        preview: Engine = import_module("jupyter_mlx_gpt_oss.serving.raw_preview").RawPreview(
            engine, max_chars
        )
        return preview

    def engine_status(self) -> EngineStatus:
        """Return the engine's snapshot, without making the engine."""
        is_made = "engine" in self.__dict__
        return self.engine.status() if is_made else EngineStatus(state=EngineState.UNLOADED)

    async def chat_completions(self, owner: str) -> "ChatCompletions":
        """Return the work of `v1/chat/completions` for one caller, whom `owner` names."""
        room = await _room("chat_completions")
        work: ChatCompletions = room.ChatCompletions(
            engine=self.engine,
            prompts=await self._prompts(owner, await self._prompt_limits()),
            metrics=self.metrics,
            background=self._background,
            model_name=self.model_name,
            new_id=new_id,
            version=self._version,
            max_open=self._max_requests_per_user,
        )
        return work

    async def completions(self, owner: str, *, is_shared: bool) -> "Completions":
        """Return the work of `v1/completions` for one caller, or for one who asks for several people."""
        room = await _room("completions")
        work: Completions = room.Completions(
            engine=self.engine,
            metrics=self.metrics,
            model_name=self.model_name,
            new_id=new_id,
            version=self._version,
            clock=self._clock,
            owner=owner,
            is_shared=is_shared,
            max_open=self._max_requests_per_user,
            limits=await self._prompt_limits(),
        )
        return work

    async def tokenization(self, owner: str) -> "Tokenization":
        """Return the work of `v1/tokenize` and `v1/detokenize` for one caller, whom `owner` names."""
        room = await _room("tokenization")
        limits = replace(await self._prompt_limits(), max_tokens=None)  # to count them is what is asked for
        work: Tokenization = room.Tokenization(engine=self.engine, prompts=await self._prompts(owner, limits))
        return work

    async def openapi(self, server_url: str) -> dict[str, Any]:
        """Return the description of all routes, for a server that is found at a URL."""
        room = await asyncio.to_thread(import_module, "jupyter_mlx_gpt_oss.protocol.openapi")
        document: dict[str, Any] = await asyncio.to_thread(
            room.openapi_document, version=self._version, server_url=server_url
        )
        return document

    async def responses(self, owner: str) -> "Responses":
        """Return the work of `v1/responses` for one caller, whom `owner` names."""
        room = await _room("responses")
        chat = await self.chat_completions(owner)
        if self._stored_responses is None or self._open_responses is None:
            self._open_responses = room.OpenResponses()
            self._stored_responses = room.ResponseStore(
                max_items=self._config.stored_responses_max_items,
                max_bytes=self._config.stored_responses_max_bytes,
            )
        work: Responses = room.Responses(
            chat=chat,
            store=self._stored_responses,
            open_responses=self._open_responses,
            owner=owner,
            max_items=self._config.max_response_items,
        )
        return work

    async def models(self) -> "Models":
        """Return the work of `v1/models`."""
        room = await _room("models")
        work: Models = room.Models(
            engine=self.engine,
            model_name=self.model_name,
            created=int(self._started),
            allowed=self._allowed_models,
        )
        return work

    async def load(self, body: bytes) -> "ModelCard | ModelState":
        """Load the model that a request's body names; see `Models.load`."""
        room = await _room("models")
        request = await asyncio.to_thread(room.Models.read, body)
        (await self.models()).require_allowed(request)
        self.model_name = request.model or self.model_name
        models = await self.models()
        loading = self._load(request.model)
        return await models.load(loading, self._background, patience_seconds=self._config.keep_alive_seconds)

    async def _load(self, name: str | None) -> None:
        """Load a model; where it cannot be loaded, its name is not kept, as the engine does not keep it."""
        try:
            await self.engine.load(name)
        except GptOssError:
            if self.model_name == name:
                self.model_name = self._loaded_name
            raise
        self._loaded_name = name or self._loaded_name

    async def unload(self) -> "ModelState":
        """Give the model's memory back; see `Models.unload`."""
        models = await self.models()
        return await models.unload()

    def health(self) -> dict[str, Any]:
        """Return what `health` says; never waits, and `status` is `ok` unless the engine has failed."""
        engine = self.engine_status()
        return {
            "status": "failed" if engine.state is EngineState.FAILED else "ok",
            "model": engine.model.name if engine.model else self.model_name,
            "state": engine.state,
            "error": engine.error,
            "active_requests": engine.num_running,
            "queued_requests": engine.num_waiting,
            "progress": engine.progress and asdict(engine.progress),
            "memory_bytes": engine.memory_bytes,
            "prefix_cache_bytes": engine.prefix_cache_bytes,
            "tokens_per_second": round(engine.tokens_per_second, 1),
            "engine_restarts": engine.num_restarts,
            "uptime_seconds": round(time.monotonic() - self._began_seconds, 3),
        }

    async def _prompts(self, owner: str, limits: "PromptLimits") -> "ChatPrompts":
        room = await _room("chat_prompt")
        prompts: ChatPrompts = room.ChatPrompts(
            memory=await self._turn_memory(), owner=owner, clock=self._clock, limits=limits
        )
        return prompts

    async def _prompt_limits(self) -> "PromptLimits":
        room = await _room("chat_prompt")
        model = self.engine_status().model
        # A remote engine may have a longer context by now than it told of; it is asked itself.
        max_tokens = None if model is None or model.device == REMOTE else model.context_length
        limits: PromptLimits = room.PromptLimits(
            max_bytes=self._config.max_prompt_bytes, max_tokens=max_tokens
        )
        return limits

    async def _turn_memory(self) -> "TurnMemory":
        room = await _room("turn_memory")
        if self._turns is None:
            self._turns = room.TurnMemory(
                max_items=self._config.turn_memory_max_items, max_bytes=self._config.turn_memory_max_bytes
            )
        return self._turns

    async def stop(self) -> None:
        """Stop the engine, if it was ever made, and what goes on behind the requests."""
        self.metrics.withdraw()
        await self._background.stop()
        if "engine" in self.__dict__:
            await self.engine.stop()


async def _room(name: str) -> ModuleType:
    return await asyncio.to_thread(import_module, f"jupyter_mlx_gpt_oss.serving.{name}")
