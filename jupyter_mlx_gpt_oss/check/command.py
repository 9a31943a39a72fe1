"""`jupyter mlx-gpt-oss check`: its options to a run, a report file and an exit status."""

import asyncio
import sys
from pathlib import Path

from traitlets import Unicode
from traitlets.config import Application
from typing_extensions import override

from jupyter_mlx_gpt_oss import __version__
from jupyter_mlx_gpt_oss.check.console import Console
from jupyter_mlx_gpt_oss.check.device import find_device
from jupyter_mlx_gpt_oss.check.prompts import NEEDED_CONTEXT_TOKENS
from jupyter_mlx_gpt_oss.check.report import build_report, write_report
from jupyter_mlx_gpt_oss.check.result import Status
from jupyter_mlx_gpt_oss.check.runner import run_checks, verdict
from jupyter_mlx_gpt_oss.config import GptOssEngine
from jupyter_mlx_gpt_oss.engine.engine_process import EngineProcess

_INTERRUPTED = 130  # the status of a program that Ctrl-C has ended


class CheckCommand(Application):
    """Test the engine on this machine, and write a report without private data."""

    name = "jupyter mlx-gpt-oss check"
    version = __version__
    description = """Test the engine with a model on this machine: whether answers are exact, how fast they come, and
    what memory they take. Ends with status 1 if a check fails. What each check means: docs/check.md."""
    examples = """jupyter mlx-gpt-oss check
jupyter mlx-gpt-oss check --model mlx-community/gpt-oss-20b-MXFP4-Q8 --report report.json
"""
    classes = [GptOssEngine]  # noqa: RUF012  Application's own attribute is no ClassVar
    aliases = {  # noqa: RUF012
        "model": "CheckCommand.model",
        "report": "CheckCommand.report",
        "context-length": "GptOssEngine.context_length",
    }

    model = Unicode(
        "demo", help="`demo` (the small embedded model), a local directory, or a Hugging Face id."
    ).tag(config=True)
    report = Unicode(
        "gpt-oss-check.json", help="The file that the report goes to; it is replaced if it exists."
    ).tag(config=True)

    @override
    def start(self) -> None:
        """Run the checks."""
        console = Console(sys.stdout)
        device = find_device()
        config = GptOssEngine(parent=self).engine_config(self.model)
        if config.context_length is not None and config.context_length < NEEDED_CONTEXT_TOKENS:
            console.line(
                f"The checks' prompts need a context of {NEEDED_CONTEXT_TOKENS:,} tokens, and {config.context_length:,} are asked "
                "for. Leave --context-length out, or give a larger one."
            )
            self.exit(1)
        console.line(f"{self.model} on {device.chip}, {device.memory_bytes / 2**30:.0f} GiB")
        try:
            outcome = asyncio.run(run_checks(config, EngineProcess, device, console))
        except KeyboardInterrupt:
            console.line("Interrupted; there is no report.")
            self.exit(_INTERRUPTED)
        for line in verdict(outcome):
            console.line(line)
        try:
            write_report(
                build_report(device, outcome.model, outcome.bytes_per_token, outcome.results),
                Path(self.report),
            )
        except OSError as error:
            console.line(f"The report cannot be written to {self.report}: {error.strerror}.")
            self.exit(1)
        console.line(f"Report, without a path, name or text of yours: {self.report}")
        self.exit(1 if outcome.names(Status.FAIL) else 0)
