"""GPT-OSS's own python tool: its code runs in this kernel as a cell does, and what it puts out goes back to it.

Knows IPython. The code has the variables of the notebook; what it prints and shows appears in the cell at once.
"""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any, TextIO, cast

from IPython.core.interactiveshell import InteractiveShell

from jupyter_mlx_gpt_oss.magics.asking import is_allowed_by_user
from jupyter_mlx_gpt_oss.magics.coroutines import run_coroutine
from jupyter_mlx_gpt_oss.magics.output_text import OutputText, bundle_to_text
from jupyter_mlx_gpt_oss.magics.render_html import error_to_html
from jupyter_mlx_gpt_oss.magics.render_text import whole_characters
from jupyter_mlx_gpt_oss.magics.segments import ToolResult, code_in_arguments
from jupyter_mlx_gpt_oss.magics.short_traceback import short_traceback

MAX_OUTPUT_CHARS = 10_000


class PythonTool:
    """What the model calls as `python`.

    Args:
        ip: the shell in which the code runs.
        may_run: asked before each run, once the code is on the page.
    """

    def __init__(self, ip: InteractiveShell, may_run: Callable[[], bool]) -> None:
        self._ip: Any = ip  # the methods of the shell are not annotated
        self._may_run = may_run

    @property
    def schema(self) -> dict[str, Any]:
        """The tool as an entry of `tools`."""
        return {"type": "python"}

    def call(self, arguments: str) -> ToolResult:
        """Run the code; an exception of it is a result that says so.

        Raises:
            KeyboardInterrupt: the user interrupted the code.
            MagicUsageError: nobody can be asked.
        """
        code = code_in_arguments(arguments)
        if code is None:
            return ToolResult('Invalid arguments: {"code": "…"} is expected.', is_error=True)
        if not self._may_run():
            return ToolResult("Not run: the user said no.", is_error=True)
        with _recorded(self._ip) as output:
            error = self._run(code)
            if error is not None:
                text = whole_characters(short_traceback(error))
                self._ip.display_pub.publish({"text/html": error_to_html(text), "text/plain": text})
        text = str(output)
        return ToolResult(text or "(no output)", is_error=error is not None, is_shown=bool(text))

    def _run(self, code: str) -> BaseException | None:
        """Run code as a cell that the history does not have; return what it raised."""
        # The traceback that IPython shows is long, and makes a notebook's output an error.
        with _method_replaced(self._ip, "_showtraceback", lambda *_: None):
            if self._is_async(code):
                result = self._run_async(code)
            else:
                result = self._ip.run_cell(code, store_history=False)
        error: BaseException | None = result.error_before_exec or result.error_in_exec
        if isinstance(error, KeyboardInterrupt):
            raise KeyboardInterrupt
        return error

    def _is_async(self, code: str) -> bool:
        try:
            transformed = self._ip.transform_cell(code)
        except (SyntaxError, ValueError):  # the latter of half a character; running it says so
            return False
        return bool(self._ip.should_run_async(code, transformed_cell=transformed))

    def _run_async(self, code: str) -> Any:
        # A kernel's loop is running, and cannot be entered twice.
        result = run_coroutine(
            self._ip.run_cell_async(code, store_history=False, transformed_cell=self._ip.transform_cell(code))
        )
        self._ip.events.trigger("post_execute")
        return result


def is_run_allowed() -> bool:
    """Ask the user whether the code above may run; no answer is no.

    Raises:
        MagicUsageError: the front end takes no input.
    """
    advice = "--python auto runs the model's code without asking."
    return is_allowed_by_user("Run this code?", who="--python ask", advice=advice)


@contextmanager
def _recorded(ip: Any) -> Iterator[OutputText]:
    """Write down what is put out while it goes where it always goes."""
    output = OutputText(MAX_OUTPUT_CHARS)
    stdout, stderr = sys.stdout, sys.stderr
    publish, write_value = ip.display_pub.publish, ip.displayhook.write_format_data

    # A terminal prints what is published, so that it would be written down twice.
    def publish_recorded(data: Mapping[str, Any], *args: Any, **kwargs: Any) -> None:
        if not kwargs.get("update"):
            output.add_line(bundle_to_text(data))
        with redirect_stdout(stdout):
            publish(data, *args, **kwargs)

    def write_value_recorded(format_dict: Mapping[str, Any], md_dict: Any = None) -> None:
        output.add_line(bundle_to_text(format_dict))
        with redirect_stdout(stdout):
            write_value(format_dict, md_dict)

    with (
        redirect_stdout(cast("TextIO", _Tee(stdout, output))),
        redirect_stderr(cast("TextIO", _Tee(stderr, output))),
        _method_replaced(ip.display_pub, "publish", publish_recorded),
        _method_replaced(ip.displayhook, "write_format_data", write_value_recorded),
        # A terminal's shell has one that writes past sys.stdout.
        _method_replaced(ip, "system", ip.system_piped),
    ):
        yield output


class _Tee:
    """A stream that is written down; in all else the stream that it stands for."""

    def __init__(self, stream: TextIO, output: OutputText) -> None:
        self._stream = stream
        self._output = output

    def write(self, text: str) -> int:
        self._output.add(text)
        return self._stream.write(text)

    def writelines(self, lines: list[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def _method_replaced(owner: object, name: str, method: Callable[..., Any]) -> Iterator[None]:
    """Put a function before the method that `owner` has from its class, or from an outer replacement."""
    attributes = vars(owner)
    before = {name: attributes[name]} if name in attributes else {}
    attributes[name] = method
    try:
        yield
    finally:
        del attributes[name]
        attributes.update(before)
