"""jupyter-ai's `%%ai`, which neither streams nor knows tools: a question, and one that goes on from it."""

import os
from typing import Any

from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

os.environ["OPENAI_API_BASE"] = os.environ["OPENAI_BASE_URL"]


def main() -> None:
    shell: Any = InteractiveShell.instance()
    shell.run_line_magic("load_ext", "jupyter_ai_magics")
    for text in ("Hello there", "And again"):
        with capture_output() as captured:
            result = shell.run_cell_magic("ai", "openai-chat-custom:gpt-oss-20b -f text", text)
        shown = [captured.stdout, *(str(output.data) for output in captured.outputs), str(result)]
        assert any(f"You said: {text}" in output for output in shown), shown


main()
