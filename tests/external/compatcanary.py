"""CompatCanary, from npm: seven probes of an endpoint, and a score of 100."""

import json
import subprocess

from tests.support.jupyter_process import JupyterProcess
from tests.support.server_for_others import KEY
from tests.support.venvs import OUT, say

VERSION = "0.2.2"


def run_compatcanary(server: JupyterProcess) -> bool:
    """Run the probes; False if the score is below 100."""
    report = OUT / "compatcanary.json"
    options = ["--base-url", server.openai_url, "--model", "demo", "--timeout", "120"]
    subprocess.run(
        ["npx", "--yes", f"compatcanary@{VERSION}", "scan", *options, "--format", "json", "--output", report],
        env={**server.environment, "OPENAI_API_KEY": KEY},
        cwd=OUT,
        check=False,
    )
    found = json.loads(report.read_text())
    for result in found["results"]:
        say(f"{result['status']}  {result['id']}  {result['summary']}")
    say(f"compatcanary {VERSION}: {found['score']} of 100")
    return bool(found["score"] == 100)
