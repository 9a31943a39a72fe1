"""Schemathesis, from PyPI: requests made from our OpenAPI document, and a check of each answer."""

import subprocess
from pathlib import Path

from tests.support.jupyter_process import JupyterProcess
from tests.support.server_for_others import KEY
from tests.support.venvs import OUT, say, venv_with

VERSION = "4.32.5"
CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"

REQUEST_SECONDS = (
    60  # a machine that does other work may take long; its own bound of 10 s is no promise of ours
)


def run_schemathesis(server: JupyterProcess) -> bool:
    """Run what it makes; False if an answer is a 5xx, or has a status or a shape that is not documented."""
    python = venv_with("schemathesis", f"schemathesis=={VERSION}")
    command: list[str | Path] = [
        python.with_name("schemathesis"),
        "run",
        f"{server.url}gpt-oss/openapi.json",
        "--header",
        f"Authorization: Bearer {KEY}",
        "--checks",
        CHECKS,
        "--max-examples=100",
        "--seed=1",
        f"--request-timeout={REQUEST_SECONDS}",
        "--suppress-health-check=all",
    ]
    with (OUT / "schemathesis.log").open("wb") as log:
        done = subprocess.run(command, stdout=log, stderr=log, check=False, cwd=OUT)
    say((OUT / "schemathesis.log").read_text(errors="replace")[-3000:])
    return done.returncode == 0
