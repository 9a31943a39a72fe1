"""The `llm` command: a model of its own file of models, a stream, and a tool."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

TOOL = 'def get_weather(city: str) -> str:\n    "Tell the weather of a city."\n    return f"Rain in {city}"\n'
MODEL = f"""
- model_id: jupyter
  model_name: demo
  api_base: {os.environ["OPENAI_BASE_URL"]}
  api_key_name: jupyter
  supports_tools: true
"""


def main(home: Path) -> None:
    (home / "extra-openai-models.yaml").write_text(MODEL)
    (home / "keys.json").write_text(json.dumps({"jupyter": os.environ["OPENAI_API_KEY"]}))
    environment = {**os.environ, "LLM_USER_PATH": str(home)}

    def llm(*arguments: str) -> str:
        command = [sys.executable, "-m", "llm", "prompt", "-m", "jupyter", *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    assert llm("Hello there").endswith("You said: Hello there")  # streams
    assert llm("--no-stream", "Hello there") == "You said: Hello there"
    for options in ((), ("--no-stream",)):
        answer = llm(*options, "--functions", TOOL, "How is the weather in Kyoto?")
        assert answer.endswith("The tool says: Rain in Kyoto"), answer
    logged = subprocess.run(
        [sys.executable, "-m", "llm", "logs", "--json"], env=environment, capture_output=True, check=True
    )
    assert json.loads(logged.stdout)[0]["response"]


with tempfile.TemporaryDirectory() as folder:
    main(Path(folder))
