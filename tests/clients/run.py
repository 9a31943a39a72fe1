"""Run every client against a real server, each in an environment of its own: `python -m tests.clients.run [CLIENT]...`.

A client is a program of this folder that ends with 0. The engine is `tests/support/able_engine.py`.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.support.jupyter_process import JupyterProcess
from tests.support.server_for_others import KEY, server_for_others
from tests.support.venvs import OUT, say, venv_with, version_of

CLIENTS = {
    "openai_package": ("openai",),
    "openai_agents": ("openai-agents",),
    "langchain_openai_chat": ("langchain-openai",),
    "litellm_completion": ("litellm[mcp]",),
    "llm_command": ("llm",),
    "pydantic_ai_agent": ("pydantic-ai-slim[openai]",),
    "jupyter_ai_magic": ("jupyter-ai-magics<3", "langchain-openai<1"),
    "codex_command": (),
}
_TIMEOUT_SECONDS = 600


def run_client(name: str, server: JupyterProcess) -> bool:
    """Run one client, and say how it went."""
    requirements = CLIENTS[name]
    python = venv_with(name, *requirements) if requirements else Path(sys.executable)
    environment = {
        **os.environ,
        "OPENAI_BASE_URL": server.openai_url,
        "OPENAI_API_KEY": KEY,
        "HOME": str(server.home),
        "PYTHONPATH": "",
    }
    log = OUT / f"{name}.log"
    with log.open("wb") as file:
        done = subprocess.run(
            [python, Path(__file__).with_name(f"{name}.py")],
            env=environment,
            cwd=OUT,
            stdout=file,
            stderr=file,
            timeout=_TIMEOUT_SECONDS,
            check=False,
        )
    package = requirements[0].partition("[")[0].partition("<")[0] if requirements else ""
    version = f" ({package} {version_of(python, package)})" if package else ""
    say(f"{'passed' if done.returncode == 0 else 'FAILED'}  {name}{version}")
    if done.returncode:
        say(log.read_text(errors="replace")[-2000:])
    return done.returncode == 0


def main() -> int:
    """Run the clients that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("clients", nargs="*", metavar="CLIENT", help=", ".join(CLIENTS))
    names = parser.parse_args().clients or list(CLIENTS)
    if unknown := set(names) - set(CLIENTS):
        parser.error(f"no client is named {' or '.join(sorted(unknown))}; there are {', '.join(CLIENTS)}")
    OUT.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as home, server_for_others(Path(home)) as server:
        passed = [run_client(name, server) for name in names]
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
