"""Codex CLI, from npm: a command that the model asks for is run, over the Responses API."""

import json
import os
import pwd
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
    events = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    items = [event["item"] for event in events if event["type"] == "item.completed"]
    user = pwd.getpwuid(os.geteuid()).pw_name
    commands = [item for item in items if item["type"] == "command_execution"]
    assert [commands[-1]["exit_code"], commands[-1]["aggregated_output"].strip()] == [0, user], commands
    answer = [item["text"] for item in items if item["type"] == "agent_message"][-1]
    assert answer.startswith("The tool says:"), answer
    assert user in answer.split(), answer


with tempfile.TemporaryDirectory() as folder:
    main(Path(folder))
