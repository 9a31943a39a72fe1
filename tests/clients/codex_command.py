"""Codex CLI, from npm: a command that the model asks for is run, over the Responses API."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

VERSION = "0.169.0"
FOLDER = Path(__file__).parents[1] / "external" / "out" / "codex"
CONFIG = f"""
model = "gpt-oss-20b"
model_provider = "jupyter"
model_context_window = 131072

[model_providers.jupyter]
name = "GPT-OSS in Jupyter"
base_url = "{os.environ["OPENAI_BASE_URL"]}"
env_key = "OPENAI_API_KEY"
wire_api = "responses"
"""


def main(home: Path) -> None:
    """Ask for a command, whose output the answer tells, and leave no error."""
    program = FOLDER / "node_modules" / ".bin" / "codex"
    if not program.is_file():
        FOLDER.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            ["npm", "install", "--no-audit", "--no-fund", f"@openai/codex@{VERSION}"], cwd=FOLDER, check=True
        )
    (home / "config.toml").write_text(CONFIG)
    options = ("--skip-git-repo-check", "--dangerously-bypass-approvals-and-sandbox", "--json")
    done = subprocess.run(
        [program, "exec", *options, "Run whoami"],
        env={**os.environ, "CODEX_HOME": str(home)},
        cwd=home,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    sys.stdout.write(done.stdout + done.stderr)
    assert done.returncode == 0
    assert "The tool says" in done.stdout
    assert "root" in done.stdout


with tempfile.TemporaryDirectory() as folder:
    main(Path(folder))
