"""Run one cell: ask the model, call the tools that it calls, ask again, until it has answered.

Joins client, tools and display. Knows nothing of IPython or of conversations.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import Any, Protocol

from jupyter_mlx_gpt_oss.client.client import Client, Progress
from jupyter_mlx_gpt_oss.errors import CellInterruptedError, ClientError, StreamInterruptedError
from jupyter_mlx_gpt_oss.magics.display import CellDisplay
from jupyter_mlx_gpt_oss.magics.render_text import closing_line, progress_line
from jupyter_mlx_gpt_oss.magics.segments import ToolCallSegment, ToolResult
from jupyter_mlx_gpt_oss.magics.transcript import Transcript


class CellTool(Protocol):
    """What the model may call in a cell."""

    @property
    def schema(self) -> dict[str, Any]:
        """The tool as OpenAI's `tools` entry."""

    def call(self, arguments: str) -> ToolResult:
        """Do what the model asks with its arguments, JSON; whatever goes wrong is a result that says so."""


class CellRun:
    """One cell on its way to an answer. Whatever ends it, the display shows all that arrived.

    Args:
        client: the server.
        display: where the cell shows itself.
        clock: seconds, monotonic.
        notices: quiet lines below the answer.
    """

    def __init__(
        self, client: Client, display: CellDisplay, clock: Callable[[], float], notices: Sequence[str] = ()
    ) -> None:
        self._client = client
        self._display = display
        self._clock = clock
        self._notices = notices
        self._transcript = Transcript(clock())

    def run(self, request: Mapping[str, Any], tools: Mapping[str, CellTool], max_rounds: int) -> Transcript:
        """Return the transcript of the whole answer.

        Args:
            request: OpenAI's chat completion request, with the messages up to the user's.
            tools: what the model may call, by name.
            max_rounds: how often the model is asked; calls of the last round are not made.

        Raises:
            CellInterruptedError: the user interrupted.
            ClientError: the server was not found, refused, or broke off.
        """
        try:
            interruption = self._run_rounds(request, tools, max_rounds)
        except KeyboardInterrupt:
            self._finish("interrupted")
            raise CellInterruptedError(
                "the generation is stopped; the conversation is as it was before this run."
            ) from None
        except StreamInterruptedError:
            self._finish("broke off")
            raise
        except ClientError:
            self._finish("failed")
            raise
        self._finish(interruption)
        return self._transcript

    def _run_rounds(
        self, request: Mapping[str, Any], tools: Mapping[str, CellTool], max_rounds: int
    ) -> str | None:
        """Ask until there is an answer; return why there is none, or None."""
        for number in range(max_rounds):
            if number:
                self._transcript = self._transcript.begin_round()
            self._stream_round({**request, "messages": [*request["messages"], *self._transcript.messages]})
            calls = self._transcript.pending_calls
            if not calls:
                return None
            if self._transcript.finish_reason == "length":
                self._refuse(calls, "Not called: the call was cut off at the length limit.")
                return None
            if number + 1 < max_rounds:
                self._call_tools(calls, tools)
        self._refuse(calls, f"Not called: the limit of {max_rounds} rounds was reached.")
        return f"stopped after {max_rounds} rounds (--max-turns)"

    def _stream_round(self, request: Mapping[str, Any]) -> None:
        # closing: whatever happens between two chunks, the server hears of it at once.
        with closing(self._client.chat(request)) as stream:
            for item in stream:
                if isinstance(item, Progress):
                    self._display.progress(progress_line(item))
                else:
                    self._transcript = self._transcript.add_chunk(item, self._clock())
                    self._display.show(self._transcript)
        self._display.show_at_once(self._transcript)

    def _call_tools(self, calls: tuple[ToolCallSegment, ...], tools: Mapping[str, CellTool]) -> None:
        for call in calls:
            tool = tools.get(call.name)
            if tool is None:
                names = ", ".join(tools) or "none"
                result = ToolResult(f"There is no tool named {call.name!r}. Tools: {names}.", is_error=True)
            else:
                self._display.make_room()
                result = tool.call(call.arguments)
            self._transcript = self._transcript.add_result(call, result)
            self._display.show_at_once(self._transcript)

    def _refuse(self, calls: tuple[ToolCallSegment, ...], reason: str) -> None:
        # A history in which a call has no result is refused by OpenAI's servers.
        for call in calls:
            self._transcript = self._transcript.add_result(call, ToolResult(reason, is_error=True))

    def _finish(self, interruption: str | None) -> None:
        self._transcript = self._transcript.end(self._clock(), interruption)
        self._display.finish(self._transcript, [closing_line(self._transcript), *self._notices])
