"""The extension's start and stop, and the headless command."""

import asyncio
import json
import os
import re
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from jupyter_server.serverapp import ServerApp

from jupyter_mlx_gpt_oss import app
from jupyter_mlx_gpt_oss.app import KEY_VARIABLE, URL_VARIABLE, GptOss
from jupyter_mlx_gpt_oss.config import GptOssEngine, GptOssServing
from jupyter_mlx_gpt_oss.engine.base import EngineState
from jupyter_mlx_gpt_oss.errors import ModelLoadError
from tests.support.http_client import HttpClient
from tests.support.scripted_engine import ScriptedEngine


async def start(server: ServerApp) -> None:
    manager: Any = server.extension_manager
    await manager.start_all_extensions()  # pytest-jupyter does not


async def test_kernels_are_told_where_the_server_is_until_it_stops(
    http: HttpClient, gpt_oss: GptOss, jp_serverapp: ServerApp
) -> None:
    del http  # with which the server listens
    await start(jp_serverapp)
    assert os.environ[URL_VARIABLE] == f"http://localhost:{jp_serverapp.port}/a%40b/gpt-oss/v1"
    assert os.environ[KEY_VARIABLE] == gpt_oss.door.api_key
    await gpt_oss.stop_extension()
    assert URL_VARIABLE not in os.environ
    assert KEY_VARIABLE not in os.environ


@pytest.mark.parametrize(
    ("ip", "certfile", "start_of_url"),
    [
        ("0.0.0.0", "", "http://127.0.0.1:"),
        ("", "", "http://127.0.0.1:"),
        ("::", "", "http://[::1]:"),
        ("::1", "", "http://[::1]:"),
        ("10.1.2.3", "/cert.pem", "https://10.1.2.3:"),
    ],
)
def test_the_base_url_is_one_that_this_machine_can_reach(
    gpt_oss: GptOss, jp_serverapp: ServerApp, ip: str, certfile: str, start_of_url: str
) -> None:
    jp_serverapp.ip, jp_serverapp.certfile = ip, certfile
    assert gpt_oss.base_url.startswith(start_of_url)
    assert gpt_oss.base_url.endswith("/a%40b/gpt-oss/v1")


async def test_nothing_is_loaded_until_it_is_asked_for(
    http: HttpClient, gpt_oss: GptOss, jp_serverapp: ServerApp
) -> None:
    await start(jp_serverapp)
    assert "engine" not in vars(gpt_oss.service)
    await http.get("gpt-oss/health")
    assert gpt_oss.service.engine.status().state is EngineState.UNLOADED


async def test_a_stop_leaves_no_task(http: HttpClient, gpt_oss: GptOss, engine: ScriptedEngine) -> None:
    engine.enqueue("<|channel|>final<|message|>Hello", asyncio.Event())
    before = asyncio.all_tasks()
    request = asyncio.ensure_future(http.chat())
    await engine.beginnings.get()
    await gpt_oss.stop_extension()
    await request
    await asyncio.sleep(0)
    assert not {task for task in asyncio.all_tasks() - before if "gpt_oss" in repr(task)}
    assert engine.is_stopped


class TestPreload:
    @pytest.fixture
    def gpt_oss_config(self) -> dict[str, Any]:
        return {"GptOss": {"preload": True}}

    async def test_the_model_is_loaded_at_start(
        self, http: HttpClient, jp_serverapp: ServerApp, engine: ScriptedEngine
    ) -> None:
        del http
        await start(jp_serverapp)
        await asyncio.sleep(0)
        assert engine.status().state is EngineState.READY

    async def test_a_model_that_cannot_be_loaded_stops_no_server(
        self,
        http: HttpClient,
        jp_serverapp: ServerApp,
        engine: ScriptedEngine,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        engine.load_error = ModelLoadError("No such directory.")
        await start(jp_serverapp)
        assert (await http.get("gpt-oss/health")).status == 503
        assert "demo could not be loaded: No such directory." in caplog.text


async def test_a_stop_ends_even_if_the_engine_does_not(
    gpt_oss: GptOss,
    engine: ScriptedEngine,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    engine.may_stop.clear()
    monkeypatch.setattr(app, "_STOP_MARGIN_SECONDS", 0.01)
    monkeypatch.setattr(gpt_oss._engine_options, "stop_timeout_seconds", 0.0)
    await gpt_oss.stop_extension()
    assert "did not stop in time" in caplog.text
    engine.may_stop.set()


def test_a_home_that_cannot_be_written_gets_a_key_for_this_run(
    gpt_oss: GptOss, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(gpt_oss, "data_dir", str(tmp_path / "file"))
    assert gpt_oss._kept_key() != gpt_oss.door.api_key


def test_a_kept_key_that_is_no_text_gets_a_key_for_this_run(
    gpt_oss: GptOss, caplog: pytest.LogCaptureFixture
) -> None:
    gpt_oss.key_path.write_bytes(b"\xff\xfe")
    assert gpt_oss._kept_key().startswith("sk-gpt-oss-")
    assert "its file is no text; delete it" in caplog.text


@pytest.mark.parametrize("key", ["sk-mine", " sk-mine\n"])
def test_a_key_of_the_configuration_is_taken_without_the_blanks_around_it(gpt_oss: GptOss, key: str) -> None:
    gpt_oss.api_key = key
    del gpt_oss.__dict__["door"]
    assert gpt_oss.door.api_key == "sk-mine"


def test_importing_the_extension_imports_nothing_heavy() -> None:
    heavy = "{'pydantic', 'openai_harmony', 'mlx', 'mlx_lm', 'transformers', 'numpy'}"
    code = f"import jupyter_mlx_gpt_oss.app, sys; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def headless(tmp_path: Path, *arguments: str) -> subprocess.Popen[str]:
    code = "from jupyter_mlx_gpt_oss.app import GptOss; GptOss.launch_instance()"
    engine_class = "--GptOss.engine_class=tests.support.scripted_engine.ScriptedEngine"
    homes = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")
    return subprocess.Popen(
        [sys.executable, "-c", code, "--allow-root", engine_class, *arguments],
        env={**os.environ, **{home: str(tmp_path / home) for home in homes}},
        stderr=subprocess.PIPE,
        text=True,
    )


def get(url: str, key: str) -> Any:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"})
    with urllib.request.urlopen(request, timeout=20) as response:
        return json.load(response)


def test_the_headless_command_serves_below_gpt_oss_and_at_the_root(tmp_path: Path) -> None:
    with headless(tmp_path, "--model", "some/model", "--port", "0", "--GptOss.api_key=sk-mine") as server:
        assert server.stderr is not None
        lines = []
        for line in server.stderr:
            lines.append(line)
            if "chat.completions.create" in line:
                break
        (address,) = re.findall(r"answers at http://(\S+)/gpt-oss/v1$", "".join(lines), flags=re.MULTILINE)
        for path in ("gpt-oss/health", "health"):
            assert get(f"http://{address}/{path}", "sk-mine")["model"] == "some/model"
        for path in ("gpt-oss/v1/models", "v1/models"):
            assert get(f"http://{address}/{path}", "sk-mine")["data"][0]["id"] == "some/model"
        assert "sk-mine" not in "".join(lines)
        server.terminate()
        server.stderr.read()
    assert server.returncode == 0


def test_the_file_of_the_key_is_told_to_whoever_starts_the_command_and_not_to_the_log(tmp_path: Path) -> None:
    log = tmp_path / "server.log"
    with headless(tmp_path, "--port", "0", "--log-file", str(log)) as server:
        assert server.stderr is not None
        lines: list[str] = []
        while not lines or "chat.completions.create" not in lines[-1]:
            lines.append(server.stderr.readline())
        server.terminate()
        server.stderr.read()
    assert "jupyter_mlx_gpt_oss/api_key" in "".join(lines)
    logged = log.read_text(encoding="utf-8")
    assert "stopping" in logged
    assert "api_key" not in logged
    assert " DEBUG " not in logged


def test_an_open_address_without_a_chosen_key_is_refused_with_the_line_that_sets_one(tmp_path: Path) -> None:
    with headless(tmp_path, "--host", "0.0.0.0", "--port", "0") as server:
        assert server.stderr is not None
        log = server.stderr.read()
    assert server.returncode == 1
    assert "Add --GptOss.api_key=KEY" in log


def test_every_flag_of_the_headless_command_is_an_option_and_stands_in_the_documents() -> None:
    document = (Path(__file__).parent.parent / "docs" / "configuration.md").read_text(encoding="utf-8")
    own = {"GptOss": GptOss, "GptOssEngine": GptOssEngine, "GptOssServing": GptOssServing}
    for flag, option in GptOss.aliases.items():
        owner, name = str(option).split(".")
        if owner in own:
            assert name in own[owner].class_traits(config=True)
            assert f"| `--{flag}` | `{option}` |" in document


def test_flags_of_the_log_reach_it() -> None:
    command = GptOss()
    command.parse_command_line(
        [
            "--log-file",
            "some.log",
            "--http-access-log",
            "--debug-raw-preview-chars",
            "80",
            "--log-level",
            "DEBUG",
        ]
    )
    assert (command.log_file, command.http_access_log, command.log_level) == ("some.log", True, 10)
    assert GptOssServing(parent=command).serving_config().debug_raw_preview_chars == 80


def test_flags_of_the_store_of_responses_reach_it() -> None:
    command = GptOss()
    command.parse_command_line(["--responses-store-max-items", "5", "--responses-store-max-bytes", "6"])
    config = GptOssServing(parent=command).serving_config()
    assert (config.stored_responses_max_items, config.stored_responses_max_bytes) == (5, 6)


_PORTS = """
from jupyter_mlx_gpt_oss.app import GptOss
server = GptOss.make_serverapp()
print(server.port)
server.parse_command_line(["--port", "8123"])
print(server.port)
"""


@pytest.mark.parametrize(
    ("environ", "ports"), [({}, ["8000", "8123"]), ({"JUPYTER_PORT": "8765"}, ["8765", "8123"])]
)
def test_the_commands_port_is_a_default(environ: dict[str, str], ports: list[str]) -> None:
    command = [sys.executable, "-c", _PORTS]
    environment = {name: value for name, value in os.environ.items() if name != "JUPYTER_PORT"} | environ
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.split() == ports
