"""Every option of the server, once: traits with their help, to the frozen values that the rooms take.

Rooms below never see a trait. `docs/configuration.md` lists these options, and a test holds it to that.
"""

from traitlets import Bool, Float, Integer, List, Unicode
from traitlets.config import Configurable

from jupyter_mlx_gpt_oss.engine.config import EngineConfig
from jupyter_mlx_gpt_oss.engine.remote_config import RemoteConfig
from jupyter_mlx_gpt_oss.serving.config import ServingConfig


class GptOssEngine(Configurable):
    """Limits of the engine, the process that holds the model."""

    hostfile = Unicode(
        "",
        help="A hostfile of `mlx.launch`, whose first host is this machine: the model is shared by all of its hosts. Empty: "
        "the model is this machine's alone.",
    ).tag(config=True)
    context_length = Integer(
        None,
        allow_none=True,
        min=1,
        help="Tokens of prompt and answer together. None: what the model was made for.",
    ).tag(config=True)
    max_running_requests = Integer(8, min=1, help="Requests that are answered together.").tag(config=True)
    max_waiting_requests = Integer(
        64, min=0, help="Requests that may wait for a place; one more is answered with 429."
    ).tag(config=True)
    max_requests_per_user = Integer(
        None,
        allow_none=True,
        min=1,
        help="Requests of one user that may run and wait together; one more is answered with 429. None: as many as all may.",
    ).tag(config=True)
    max_prefill_tokens = Integer(
        2048, min=1, help="Prompt tokens computed in one step, at the most; a slow machine computes fewer."
    ).tag(config=True)
    max_token_gap_seconds = Float(
        0.25,
        min=0.01,
        help="While answers are being written, a step reads so few prompt tokens that no answer waits longer for its next "
        "token. More: long prompts are read faster. Less: the answers flow more evenly.",
    ).tag(config=True)
    prompt_lookup_tokens = Integer(
        6,
        min=0,
        help="Tokens guessed and checked in one step for an answer that is written alone, where it repeats what was said "
        "before. Never changes the answer, and pauses where it does not pay. 0: none.",
    ).tag(config=True)
    prefix_cache_bytes = Integer(
        None,
        allow_none=True,
        min=0,
        help="Bytes of keys and values kept of earlier prompts and answers, so that a conversation is not read anew "
        "at each turn. 0: none. None: a quarter of the memory that is free. A larger number than three quarters of that memory counts as these.",
    ).tag(config=True)
    idle_unload_seconds = Float(
        0.0,
        min=0.0,
        help="Seconds without a request after which the model is unloaded and its memory given back; the next request loads "
        "it again. 0: never.",
    ).tag(config=True)
    stall_timeout_seconds = Float(
        120.0, min=1.0, help="Seconds of silence after which a busy engine process is replaced."
    ).tag(config=True)
    stop_timeout_seconds = Float(
        5.0, min=0.0, help="Seconds that the engine process may take to end before it is killed."
    ).tag(config=True)

    def engine_config(self, model: str) -> EngineConfig:
        """Return what the engine takes, for a model."""
        return EngineConfig(model=model, **{name: getattr(self, name) for name in self.class_own_traits()})


class GptOssRemote(Configurable):
    """How the engine of `GptOss.engine_url` is spoken to."""

    key = Unicode("", help="The key that the remote engine wants. Empty: none is sent.").tag(config=True)
    model = Unicode("", help="The remote engine's model to ask for. Empty: the first that it lists.").tag(
        config=True
    )
    ca_file = Unicode(
        "",
        help="A PEM file of the authorities that sign the remote engine's certificate. Empty: the system's.",
    ).tag(config=True)
    certificate_file = Unicode(
        "",
        help="A PEM file of this server's own certificate, for a remote engine that wants one. Empty: none.",
    ).tag(config=True)
    certificate_key_file = Unicode(
        "", help="A PEM file of that certificate's key. Empty: it is in certificate_file."
    ).tag(config=True)
    max_open_requests = Integer(
        64,
        min=1,
        help="Requests that may be open at the remote engine at once; one more is answered with 429.",
    ).tag(config=True)
    connect_timeout_seconds = Float(
        10.0, min=0.1, help="Seconds that the remote engine may take to accept a connection."
    ).tag(config=True)
    silence_timeout_seconds = Float(
        300.0, min=1.0, help="Seconds that the remote engine may say nothing while it has a request."
    ).tag(config=True)
    health_interval_seconds = Float(
        10.0,
        min=0.1,
        help="Seconds between two checks whether a remote engine that failed is back.",
    ).tag(config=True)
    salts_cache = Bool(
        default_value=True,
        help="Keep users apart in the remote engine's prefix cache, so that none can find out by timing what another has "
        "asked. False: users share the beginnings of their prompts.",
    ).tag(config=True)

    def remote_config(self, urls: tuple[str, ...], context_length: int | None) -> RemoteConfig:
        """Return what the remote engine takes, for its URLs."""
        options = {name: getattr(self, name) for name in self.class_own_traits()}
        return RemoteConfig(urls=urls, context_length=context_length, **options)


class GptOssServing(Configurable):
    """Limits of the HTTP side."""

    keep_alive_seconds = Float(
        15.0,
        min=0.01,
        help="Seconds of silence after which a stream gets a comment, so that no proxy cuts it.",
    ).tag(config=True)
    max_loading_wait_seconds = Float(
        60.0,
        min=0.0,
        help="Seconds that a request which does not stream waits for the model to load, and is answered with 503 then; "
        "loading goes on. A stream is told how far it is, and waits as long as it takes.",
    ).tag(config=True)
    max_body_bytes = Integer(
        16 * 1024 * 1024, min=1, help="Bytes of a request's body, at the most; more is answered with 413."
    ).tag(config=True)
    max_prompt_bytes = Integer(
        4 * 1024 * 1024,
        min=1,
        help="Bytes of a prompt's text, its tools and instructions included, at the most; more is answered with 413. The "
        "context bounds its tokens.",
    ).tag(config=True)
    turn_memory_max_items = Integer(
        1024,
        min=0,
        help="Turns with tool calls that are kept as the model wrote them, so that the prompt with the calls' results "
        "goes on from them. 0: none.",
    ).tag(config=True)
    turn_memory_max_bytes = Integer(
        16 * 1024 * 1024, min=0, help="Bytes of all these turns together, at the most."
    ).tag(config=True)
    stored_responses_max_items = Integer(
        256, min=0, help="Responses that are kept, to be continued and read again. 0: none."
    ).tag(config=True)
    stored_responses_max_bytes = Integer(
        64 * 1024 * 1024,
        min=0,
        help="Bytes of all these responses together, with the items that they go on from, at the most.",
    ).tag(config=True)
    max_response_items = Integer(
        10_000,
        min=1,
        help="Items of a response's input and of the responses that it goes on from, together, at the most; more is "
        "answered with 400.",
    ).tag(config=True)
    allowed_models = List(
        Unicode(),
        None,
        allow_none=True,
        help="Models that `v1/load`, and so `%oss model`, may load besides the configured one. None: any, whoever has the "
        "key. Empty: no other, and nobody unloads the model either.",
    ).tag(config=True)
    debug_raw_preview_chars = Integer(
        0,
        min=0,
        help="Characters of each raw prompt (its end) and answer (its beginning) that are logged, at log level DEBUG alone. "
        "0: none.",
    ).tag(config=True)
    stop_grace_seconds = Float(
        2.0, min=0.0, help="Seconds that open requests may take to end when the server stops."
    ).tag(config=True)

    def serving_config(self) -> ServingConfig:
        """Return what the HTTP side takes."""
        return ServingConfig(**{name: getattr(self, name) for name in self.class_own_traits()})
