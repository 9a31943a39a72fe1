"""The kernel finds its server by itself, whatever started the kernel and whatever guards the server."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import nbformat
import pytest
from jupyter_server.auth.security import passwd
from nbclient import NotebookClient

from tests.support.jupyter_hub import SERVICE_TOKEN, jupyter_hub
from tests.support.jupyter_process import TOKEN, JupyterProcess, jupyter_process
from tests.support.kernel_cells import kernel_of_nobody, kernel_of_server

ROOT = Path(__file__).parents[2]
ENGINE = "--GptOss.engine_class=tests.support.scripted_engine.ScriptedEngine"
PASSWORD = "swordfish"
STATUS = "%load_ext jupyter_mlx_gpt_oss\n%oss status"
QUESTION = "%%oss\nHi"
ANSWER = "Hello."  # what the scripted engine says to everything
FROM_ENVIRONMENT = "(environment variable JUPYTER_MLX_GPT_OSS_URL)"
# ipykernel says so where no encryption is set up; the kernel is on this machine.
pytestmark = pytest.mark.filterwarnings("ignore:.*Kernel is running over TCP without encryption")

Servers = dict[str, JupyterProcess]


@pytest.fixture(scope="module", autouse=True)
def tests_are_importable() -> Iterator[None]:
    """For the servers, whose engine is a test's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        yield


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Three servers at once, of three kinds, guarded in three ways."""
    hashed = passwd(PASSWORD, "sha1")  # type: ignore[no-untyped-call]
    password = ("--IdentityProvider.token=", f"--PasswordIdentityProvider.hashed_password={hashed}")
    arguments = {
        "lab": ("--ServerApp.base_url=/user/ada/", "--LabApp.extension_manager=readonly"),
        "notebook": ("--IdentityProvider.token=",),
        "server": password,
    }
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(
                jupyter_process(tmp_path_factory.mktemp(name), name, "--port=0", ENGINE, *options)
            )
            for name, options in arguments.items()
        }


def environment_with(home: Path, *servers: JupyterProcess) -> dict[str, str]:
    """Return an environment in which these servers are found, the last one started last."""
    runtime = home / "runtime"
    runtime.mkdir()
    for number, server in enumerate(servers):
        [file] = (server.home / "runtime").glob("jpserver-[0-9]*.json")
        copy = runtime / file.name
        copy.write_text(file.read_text())
        os.utime(copy, (number, number))
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("JPY", "JUPYTER", "VSCODE"))
    }
    return {**kept, "HOME": str(home), "JUPYTER_RUNTIME_DIR": str(runtime)}


def place_of(server: JupyterProcess) -> str:
    return f":{server.info['port']}{server.info['base_url']}gpt-oss/v1 "


@pytest.mark.parametrize(
    ("kind", "token", "password"),
    [("lab", TOKEN, ""), ("notebook", "", ""), ("server", "", PASSWORD)],
    ids=["lab with a base URL", "notebook without a token", "server with a password"],
)
def test_a_notebook_finds_the_server_that_started_its_kernel(
    servers: Servers, kind: str, token: str, password: str
) -> None:
    server = servers[kind]
    with kernel_of_server(server, token=token, password=password) as kernel:
        assert f"{place_of(server)}{FROM_ENVIRONMENT}" in kernel.run(STATUS)
        assert ANSWER in kernel.run(QUESTION)
        assert "demo is loaded" in kernel.run("%oss model demo")


@pytest.mark.parametrize("kind", ["lab", "notebook", "server"])
def test_a_kernel_that_no_server_started_finds_one_that_runs(
    servers: Servers, kind: str, tmp_path: Path
) -> None:
    server = servers[kind]
    environment = environment_with(tmp_path, server)
    environment["JUPYTER_DATA_DIR"] = str(server.home / ".local/share/jupyter")
    with kernel_of_nobody(environment, tmp_path) as kernel:
        status = kernel.run(STATUS)
        assert place_of(server) in status
        assert "(runtime file jpserver-" in status
        assert ANSWER in kernel.run(QUESTION)


def test_nbclient_finds_the_newest_of_several_servers(servers: Servers, tmp_path: Path) -> None:
    environment = environment_with(tmp_path, servers["server"], servers["notebook"], servers["lab"])
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(STATUS)])  # type: ignore[no-untyped-call]
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute(env=environment)
    assert place_of(servers["lab"]) in json.dumps(notebook)


def test_nbconvert_finds_a_server(servers: Servers, tmp_path: Path) -> None:
    environment = environment_with(tmp_path, servers["lab"])
    cells = [nbformat.v4.new_code_cell(source) for source in (STATUS, QUESTION)]  # type: ignore[no-untyped-call]
    notebook = tmp_path / "a.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=cells), notebook)  # type: ignore[no-untyped-call]
    command = [sys.executable, "-m", "nbconvert", "--execute", "--to", "notebook", "--stdout", str(notebook)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert place_of(servers["lab"]) in done.stdout
    assert ANSWER in done.stdout


def test_a_jupyter_console_finds_a_server(servers: Servers, tmp_path: Path) -> None:
    environment = environment_with(tmp_path, servers["lab"])
    command = [sys.executable, "-m", "jupyter_console", "--simple-prompt", "--kernel=python3"]
    done = subprocess.run(
        command,
        env=environment,
        input=f"{STATUS.splitlines()[0]}\n%oss status\nexit\n",
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert place_of(servers["lab"]) in done.stdout, done.stderr


def test_without_a_server_one_line_says_what_was_tried(tmp_path: Path) -> None:
    with kernel_of_nobody(environment_with(tmp_path), tmp_path) as kernel:
        nobody = kernel.run(STATUS)
        assert nobody.startswith("ServerNotFoundError: No server with GPT-OSS was found.")
        assert "jupyter lab" in nobody
        assert "%oss connect URL" in nobody
        assert "VS Code" not in nobody
        assert "\n" not in nobody
        in_vs_code = kernel.run("import os\nos.environ['VSCODE_PID'] = '1'\n%oss status")
        assert "VS Code starts kernels without a Jupyter server: run `jupyter mlx-gpt-oss`" in in_vs_code
        elsewhere = "os.environ['JUPYTER_MLX_GPT_OSS_URL'] = 'http://127.0.0.1:9/gpt-oss/v1'"
        gone = kernel.run(f"{elsewhere}\n%oss status")
        assert f"http://127.0.0.1:9/gpt-oss/v1 {FROM_ENVIRONMENT}: no server answers" in gone


def test_a_kernel_in_a_jupyterhub_finds_its_server(tmp_path: Path) -> None:
    with jupyter_hub(tmp_path, ENGINE) as server:
        with kernel_of_server(server, token=SERVICE_TOKEN) as kernel:
            assert f"{place_of(server)}{FROM_ENVIRONMENT}" in kernel.run(STATUS)
            assert ANSWER in kernel.run(QUESTION)
            token = kernel.run("import os; print(os.environ['JUPYTERHUB_API_TOKEN'])").strip()
        [key_file] = server.home.rglob("api_key")
        for key, status in (
            (token, 200),
            (SERVICE_TOKEN, 200),
            (key_file.read_text().strip(), 200),
            ("nope", 401),
        ):
            reply = httpx.get(f"{server.openai_url}/models", headers={"Authorization": f"Bearer {key}"})
            assert reply.status_code == status
        page = httpx.get(f"{server.url}gpt-oss/", headers={"Accept": "text/html"})
        assert page.status_code == 302
        assert "/hub/api/oauth2/authorize" in page.headers["location"]
