"""The server extension, and `jupyter mlx-gpt-oss`: wires the house, owns its start and its stop.

Imported at every start of a notebook server, so nothing here may import a model, Harmony or pydantic.
"""

import asyncio
import os
import sys
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, cast

from jupyter_server.extension.application import ExtensionApp
from jupyter_server.serverapp import ServerApp
from jupyter_server.utils import url_path_join
from traitlets import Bool, DottedObjectName, Unicode
from traitlets.utils.importstring import import_item
from typing_extensions import override

from jupyter_mlx_gpt_oss import __version__
from jupyter_mlx_gpt_oss.config import GptOssEngine, GptOssRemote, GptOssServing
from jupyter_mlx_gpt_oss.engine.base import Engine
from jupyter_mlx_gpt_oss.errors import GptOssError, ModelLoadError
from jupyter_mlx_gpt_oss.handlers.addresses import is_loopback
from jupyter_mlx_gpt_oss.handlers.api_key import load_or_create_key, new_key
from jupyter_mlx_gpt_oss.handlers.base import Door
from jupyter_mlx_gpt_oss.handlers.open_requests import OpenRequests
from jupyter_mlx_gpt_oss.handlers.routes import routes
from jupyter_mlx_gpt_oss.handlers.server_log import ServerLog, with_access_lines
from jupyter_mlx_gpt_oss.serving.config import ServingConfig
from jupyter_mlx_gpt_oss.serving.service import Service

URL_VARIABLE = "JUPYTER_MLX_GPT_OSS_URL"
KEY_VARIABLE = "JUPYTER_MLX_GPT_OSS_KEY"
_PORT = 8000
_STOP_MARGIN_SECONDS = 3.0  # for an engine that does not keep its own bound


class GptOss(ExtensionApp):
    """GPT-OSS in a notebook server, with OpenAI's routes below `gpt-oss/`."""

    name = "jupyter_mlx_gpt_oss"
    version = __version__
    description = """GPT-OSS on MLX, behind OpenAI's API and the %%oss cell magic.

    Runs inside any Jupyter server; this command runs a server of its own, without a notebook."""
    examples = """jupyter mlx-gpt-oss                                             # the embedded demo model
jupyter mlx-gpt-oss --model mlx-community/gpt-oss-20b-MXFP4-Q8  # the real one
jupyter lab --GptOss.model=mlx-community/gpt-oss-20b-MXFP4-Q8   # the same, in JupyterLab
"""
    extension_url = "/gpt-oss/"
    static_paths = [str(Path(__file__).parent / "handlers" / "static")]  # noqa: RUF012
    load_other_extensions = False
    serverapp_config = {"open_browser": False}  # noqa: RUF012  ExtensionApp's own attribute is no ClassVar
    classes = [ServerApp, GptOssEngine, GptOssRemote, GptOssServing]  # noqa: RUF012
    subcommands = {  # noqa: RUF012
        "check": (
            "jupyter_mlx_gpt_oss.check.command.CheckCommand",
            "Test the engine with a model on this machine, and write a report.",
        )
    }
    aliases = {  # noqa: RUF012
        "model": "GptOss.model",
        "engine-url": "GptOss.engine_url",
        "host": "ServerApp.ip",
        "port": "ServerApp.port",
        "context-length": "GptOssEngine.context_length",
        "log-level": "Application.log_level",
        "log-file": "GptOss.log_file",
        "debug-raw-preview-chars": "GptOssServing.debug_raw_preview_chars",
        "responses-store-max-items": "GptOssServing.stored_responses_max_items",
        "responses-store-max-bytes": "GptOssServing.stored_responses_max_bytes",
    }

    own_flags: ClassVar[dict[str, Any]] = {
        "http-access-log": ({"GptOss": {"http_access_log": True}}, "Log a line for each request.")
    }
    flags = {**ExtensionApp.flags, **own_flags}  # noqa: RUF012  as above

    model = Unicode(
        "demo", help="`demo` (the small embedded model), a local directory, or a Hugging Face id."
    ).tag(config=True)
    engine_url = Unicode(
        "",
        help="The base URL of a remote engine, such as `http://host:8000/v1`: vLLM's, or a server of this package. Several, "
        "with spaces between: a conversation goes to the one that knows it, all else to the least busy. Empty: the model runs here.",
    ).tag(config=True)
    preload = Bool(
        default_value=False, help="Load the model when the server starts, not with the first request."
    ).tag(config=True)
    api_key = Unicode(
        "",
        help="The key that opens `gpt-oss/` and nothing else of the server. Empty: one is made once and kept in "
        "the user's Jupyter data directory.",
    ).tag(config=True)
    engine_class = DottedObjectName(
        "jupyter_mlx_gpt_oss.engine.engine_process.EngineProcess",
        help="A class that implements the protocol in `jupyter_mlx_gpt_oss.engine.base`; "
        "it is called with an EngineConfig.",
    ).tag(config=True)

    log_file = Unicode(
        "",
        help="A file that the server's log is written to as well; at 25 MiB another is begun, and five are kept. Empty: none.",
    ).tag(config=True)
    http_access_log = Bool(
        default_value=False,
        help="Log a line at INFO for each request below `gpt-oss/`: method, path, status, time and the request's id.",
    ).tag(config=True)

    _preloading: asyncio.Task[None] | None = None
    _is_key_kept = True

    # Plain attributes, not traits: ExtensionApp reads every trait when the server starts.

    @cached_property
    def service(self) -> Service:
        """What the handlers may ask for."""
        return Service(
            make_engine=self._make_engine,
            config=self._serving_config,
            model_name=self._model_name,
            version=__version__,
            max_requests_per_user=None if self.engine_url else self._engine_options.max_requests_per_user,
        )

    @cached_property
    def door(self) -> Door:
        """What the handlers are given."""
        return Door(
            service=self.service,
            open_requests=OpenRequests(),
            config=self._serving_config,
            api_key=self._chosen_key or self._kept_key(),
        )

    @property
    def _chosen_key(self) -> str:
        return self.api_key.strip()

    @cached_property
    def _model_name(self) -> str:
        """What answers name until the engine knows better."""
        return GptOssRemote(parent=self).model or "gpt-oss" if self.engine_url else self.model

    @cached_property
    def _serving_config(self) -> ServingConfig:
        return GptOssServing(parent=self).serving_config()

    @cached_property
    def _engine_options(self) -> GptOssEngine:
        return GptOssEngine(parent=self)

    @cached_property
    def _joined_log(self) -> ServerLog:
        return ServerLog(self.log, self._server.log)

    @property
    def key_path(self) -> Path:
        """Where the key is kept that nobody configured."""
        return Path(self.data_dir) / self.name / "api_key"

    @property
    def base_url(self) -> str:
        """The base URL for OpenAI's clients on this machine; final once the server is bound."""
        server = self._server
        # Tornado's sockets for IPv6 take no IPv4.
        loopback = {"": "127.0.0.1", "*": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  compared, not bound
        host = loopback.get(server.ip, server.ip)
        host = f"[{host}]" if ":" in host else host
        scheme = "https" if server.certfile else "http"
        return f"{scheme}://{host}:{server.port}{url_path_join(server.base_url, 'gpt-oss/v1')}"

    @property
    def is_headless(self) -> bool:
        """Whether the server was started by this package's own command."""
        return self._server.starter_app is self

    @classmethod
    @override
    def make_serverapp(cls, **kwargs: Any) -> ServerApp:
        """Make the server of this command: it has mlx-gpt-oss's port unless something else is asked for."""
        server: ServerApp = super().make_serverapp(**kwargs)
        if "JUPYTER_PORT" not in os.environ:
            server.port = _PORT  # a default: configuration, the command line's too, is read later
        # The server reads the command line first. ExtensionApp gives it our aliases, and not our flags.
        server.flags = {**server.flags, **cls.own_flags}
        return server

    @override
    def initialize_handlers(self) -> None:
        """Mount the routes."""
        if self.is_headless:
            self._refuse_open_address()
        self.handlers.extend(routes(self.door, at_root=self.is_headless))

    @override
    async def _start_jupyter_server_extension(self, serverapp: ServerApp) -> None:
        """Open the log, show the metrics, tell kernels where this server is; called once the server is bound."""
        self._open_log()
        self.service.metrics.export()
        if serverapp.sock:  # clients have no URL for it; kernels find it by its runtime file
            os.environ.pop(URL_VARIABLE, None)  # of a server around this one
            os.environ.pop(KEY_VARIABLE, None)
        else:
            os.environ[URL_VARIABLE] = self.base_url
            os.environ[KEY_VARIABLE] = self.door.api_key
        if self.is_headless:
            # Said to whoever started it, and not logged: it names a file of theirs.
            sys.stderr.write(f"{self._snippet()}\n")
            sys.stderr.flush()
        if self.preload or self.engine_url:  # a remote engine's model is known once it is asked for it
            self._preloading = asyncio.get_running_loop().create_task(self._preload())

    @override
    def current_activity(self) -> int | None:
        """Return how many requests are open: a server with one is not idle."""
        return len(self.door.open_requests) or None

    @override
    async def stop_extension(self) -> None:
        """End every open request, then the engine. Each has a bound, so that the server always stops."""
        for variable in (URL_VARIABLE, KEY_VARIABLE):
            os.environ.pop(variable, None)
        if self._preloading is not None:
            self._preloading.cancel()
            await asyncio.gather(self._preloading, return_exceptions=True)
        await self.door.open_requests.stop(self.door.config.stop_grace_seconds)
        try:
            await asyncio.wait_for(
                self.service.stop(), self._engine_options.stop_timeout_seconds + _STOP_MARGIN_SECONDS
            )
        except TimeoutError:
            self.log.error("The engine did not stop in time; it is left behind.")  # noqa: TRY400  nothing to trace
        self._joined_log.close()

    @property
    def _server(self) -> ServerApp:
        assert self.serverapp is not None
        return self.serverapp

    def _open_log(self) -> None:
        try:
            self._joined_log.open(self.log_file, cast("int | str", self._server.log_level))
        except OSError as error:
            self.log.warning("No log can be written to the file of GptOss.log_file: %s.", error.strerror)
        settings = self._server.web_app.settings
        if self.http_access_log:
            settings["log_function"] = with_access_lines(settings["log_function"], self.log)

    def _make_engine(self) -> Engine:
        try:
            return self._configured_engine()
        except (ImportError, ValueError) as error:
            # A mistyped option: everybody who asks is told, and the log.
            self.log.error("The engine's options are wrong: %s", error)  # noqa: TRY400  no traceback
            raise ModelLoadError(f"The engine's options are wrong: {error}") from error

    def _configured_engine(self) -> Engine:
        if self.engine_url:
            remote_class = import_item("jupyter_mlx_gpt_oss.engine.remote_engine.RemoteEngine")
            urls = tuple(self.engine_url.split())
            context_length = self._engine_options.context_length
            remote: Engine = remote_class(GptOssRemote(parent=self).remote_config(urls, context_length))
            return remote
        engine_class = import_item(self.engine_class)
        engine: Engine = engine_class(self._engine_options.engine_config(self.model))
        return engine

    def _kept_key(self) -> str:
        try:
            return load_or_create_key(self.key_path)
        except UnicodeDecodeError:
            reason = "its file is no text; delete it"
        except OSError as error:  # a read-only home
            reason = error.strerror or type(error).__name__
        self._is_key_kept = False  # it lasts as long as this server
        self.log.warning("No key can be kept in Jupyter's data folder (%s); set GptOss.api_key.", reason)
        return new_key()

    async def _preload(self) -> None:
        try:
            await self.service.engine.load()
        except GptOssError as error:
            name = Path(self._model_name).name  # not where it lies
            self.log.error("%s could not be loaded: %s", name, error.message)  # noqa: TRY400  no traceback

    def _refuse_open_address(self) -> None:
        ip = self._server.ip
        if self._chosen_key or is_loopback(ip):
            return
        self.log.critical(
            "%s can be reached from other machines, so it needs a key that you chose. Add --GptOss.api_key=KEY",
            ip,
        )
        self.exit(1)

    def _snippet(self) -> str:
        if self._server.sock:
            return f"GPT-OSS ({self._model_name}) answers at the socket {self._server.sock}, below {self._server.base_url}gpt-oss/v1"
        key = f'open("{self.key_path}").read().strip()'
        if self._chosen_key:
            key = '"the key in GptOss.api_key"'
        elif not self._is_key_kept:
            key = '"a key: set GptOss.api_key, since none can be kept"'
        return (
            f"GPT-OSS ({self._model_name}) answers at {self.base_url}\n"
            "    from openai import OpenAI\n"
            f'    client = OpenAI(base_url="{self.base_url}", api_key={key})\n'
            f'    client.chat.completions.create(model="{self._model_name}", '
            'messages=[{"role": "user", "content": "Hello"}])'
        )
