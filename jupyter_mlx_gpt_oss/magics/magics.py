"""`%%oss` and `%oss`: read what the user wrote, hand it on, keep what the next cell needs.

Arguments and state only; a typed error passes through here and shows itself in one line.
"""

import argparse
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import Magics, magics_class
from traitlets import Bool, Float, Unicode

from jupyter_mlx_gpt_oss.errors import MagicUsageError
from jupyter_mlx_gpt_oss.magics.answer import Answer
from jupyter_mlx_gpt_oss.magics.arguments import oss_cell_magic, oss_line_magic, parse_options, split_words
from jupyter_mlx_gpt_oss.magics.cell_run import CellRun, CellTool
from jupyter_mlx_gpt_oss.magics.commands import Commands
from jupyter_mlx_gpt_oss.magics.completion import make_matcher
from jupyter_mlx_gpt_oss.magics.conversation import CellKeys, Conversation, Turn, rewound
from jupyter_mlx_gpt_oss.magics.display import CellDisplay, NotebookDisplay, TerminalDisplay
from jupyter_mlx_gpt_oss.magics.finding import find_client
from jupyter_mlx_gpt_oss.magics.python_tool import PythonTool, is_run_allowed
from jupyter_mlx_gpt_oss.magics.render_html import quiet_line_to_html
from jupyter_mlx_gpt_oss.magics.render_text import DEMO_NOTICE, visible
from jupyter_mlx_gpt_oss.magics.segments import PYTHON
from jupyter_mlx_gpt_oss.magics.shown_value import show_value
from jupyter_mlx_gpt_oss.magics.tool_mark import marked_functions
from jupyter_mlx_gpt_oss.magics.variables import expand_variables

if TYPE_CHECKING:
    from jupyter_mlx_gpt_oss.magics.schema import AnswerSchema  # for its type alone: it loads pydantic

REQUEST_FLAGS = ("max_tokens", "temperature", "top_p", "seed")


@magics_class
class GptOssMagics(Magics):
    """Talk to GPT-OSS from cells."""

    url = Unicode(
        "",
        help="Base URL of an OpenAI-compatible server, such as http://127.0.0.1:8888/gpt-oss/v1. "
        "Empty: the Jupyter server of this kernel is found by itself.",
    ).tag(config=True)
    key = Unicode("", help="API key for `url`.").tag(config=True)
    plain = Bool(
        default_value=False,
        help="Write answers as plain text, as in a terminal: for front ends that cannot update an output, such as "
        "`jupyter console`.",
    ).tag(config=True)
    update_interval_seconds = Float(
        0.05, min=0.0, help="Least time in seconds between two updates of an output that streams."
    ).tag(config=True)

    def __init__(self, shell: InteractiveShell, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(shell)
        self.ip = shell
        self.model = ""
        self.conversations: dict[str, Conversation] = {}
        self.last_answer: Answer | None = None
        self.matcher = make_matcher(lambda: self.conversations, self.variables)
        self._clock = clock
        self._cell_keys = CellKeys()
        self._is_demo_told = False

    @oss_cell_magic
    def ask(self, line: str, cell: str) -> None:
        """Ask GPT-OSS; the cell is the message, and {name} in it stands for a variable of the notebook.

        Cells continue one conversation. Running a cell again replaces its turn and what followed it.
        The answer is in `_`. Functions under `@tool` are offered in every cell.
        """
        options = parse_options(self.ask, line)
        notices: list[str] = []
        tools = self._collect_tools(options, notices)
        schema = self._read_schema(options.schema)
        text = cell.strip("\n")
        if not text.strip():
            raise MagicUsageError("The cell has no message; write it below the line of %%oss.")
        if not options.raw:
            text = expand_variables(text, self.variables(), notices)
            options.system = options.system and expand_variables(options.system, self.variables(), notices)
        client, card = find_client(self.url, self.key, self.model)
        conversation = self.conversations.setdefault(options.chat, Conversation(options.chat))
        cell_key = self._cell_key(f"{line}\n{cell}")
        question = Turn(cell_key, ({"role": "user", "content": text},), options.system, options.new)
        notices += self._demo_notices(card)
        run = CellRun(client, self._display(options), self._clock, notices)
        with rewound([*self.conversations.values()], cell_key):  # it may have asked in another chat before
            request = {
                **_request_fields(options),
                "model": card["id"],
                "messages": conversation.with_turn(question).messages,
                **({"tools": [tool.schema for tool in tools.values()]} if tools else {}),
                **({"response_format": schema.response_format} if schema else {}),
            }
            transcript = run.run(request, tools, options.max_turns)
        turn = Turn(cell_key, (*question.messages, *transcript.messages), options.system, options.new)
        conversation.turns.append(turn)
        parsed, fault = schema.parse(transcript.text) if schema else (None, "")
        if fault:
            fault = visible(fault)
            self.ip.display_pub.publish({"text/html": quiet_line_to_html(fault), "text/plain": fault})
        self._give(Answer.from_transcript(transcript, conversation, parsed), options.output)

    @oss_line_magic
    def command(self, line: str) -> None:
        """Look after GPT-OSS in this notebook.

        %oss, %oss status [key]  server, model, state, how to connect a client; with the whole key
        %oss model NAME          load this model: demo, a directory, a Hugging Face id
        %oss unload              give the model's memory back
        %oss code                put the code of the last answer into a new cell
        %oss fix [FLAGS]         ask about the last cell that failed; FLAGS as in %%oss
        %oss reset [CHAT]        forget a conversation
        %oss chats               the conversations of this kernel
        %oss history [CHAT]      the messages of a conversation
        %oss tools               the functions that every cell offers
        %oss connect URL [KEY]   use this OpenAI-compatible server

        Ask with %%oss; %%oss? says how.
        """
        Commands(self).run(split_words(line))

    def variables(self) -> dict[str, Any]:
        """Return the variables of the notebook: not `open`, `exit` and the like, which IPython puts beside them."""
        hidden = self.ip.user_ns_hidden
        return {
            name: value
            for name, value in self.ip.user_ns.items()
            if name.startswith("_") or name not in hidden or hidden[name] is not value
        }

    def _collect_tools(self, options: argparse.Namespace, notices: list[str]) -> dict[str, CellTool]:
        tools = self._collect_functions(options.tool, notices)
        if options.python == "off":
            return tools
        if PYTHON in tools:
            raise MagicUsageError(
                "--python: a function of the notebook is offered under the name python too."
            )
        may_run = is_run_allowed if options.python == "ask" else lambda: True
        return {**tools, PYTHON: PythonTool(self.ip, may_run)}

    def _collect_functions(self, names: list[str], notices: list[str]) -> dict[str, CellTool]:
        namespace = self.variables()
        if not names and not marked_functions(namespace):
            return {}
        from jupyter_mlx_gpt_oss.magics.tools import collect_tools  # noqa: PLC0415  it loads pydantic

        show = partial(show_value, self.ip)
        return dict(collect_tools(namespace, names, show=show, keep_fault=partial(_keep_fault, notices)))

    def _read_schema(self, name: str | None) -> "AnswerSchema | None":
        if name is None:
            return None
        variables = self.variables()
        if name not in variables:
            raise MagicUsageError(f"--schema {name}: the notebook has no variable of that name.")
        from jupyter_mlx_gpt_oss.magics.schema import read_schema  # noqa: PLC0415  it loads pydantic

        return read_schema(name, variables[name])

    def _cell_key(self, text: str) -> str:
        get_parent = getattr(self.ip, "get_parent", None)
        parent = get_parent() if get_parent is not None else {}
        execution = self.ip.execution_count if _is_terminal(self.ip) else None
        return self._cell_keys.next_key(parent, text, execution)

    def _display(self, options: argparse.Namespace) -> CellDisplay:
        if self.plain or _is_terminal(self.ip):
            return TerminalDisplay(sys.stdout, hide_reasoning=options.hide_reasoning)
        publish = self.ip.display_pub.publish
        interval_seconds = self.update_interval_seconds
        return NotebookDisplay(
            publish,
            self._clock,
            interval_seconds,
            hide_reasoning=options.hide_reasoning,
            is_json=options.schema is not None,
        )

    def _demo_notices(self, card: Mapping[str, Any]) -> list[str]:
        if not card.get("demo") or self._is_demo_told:
            return []
        self._is_demo_told = True
        return [DEMO_NOTICE]

    def _give(self, answer: Answer, name: str | None) -> None:
        # The displayhook keeps `_`, `__` and Out in step. A returned value would be displayed as well.
        self.last_answer = answer
        displayhook: Any = self.ip.displayhook
        displayhook.update_user_ns(answer)
        if name is not None:
            self.ip.user_ns[name] = answer


def register(ip: InteractiveShell) -> None:
    """Make `%%oss` and `%oss` known to a shell."""
    magics = GptOssMagics(ip)
    ip.register_magics(magics)
    ip.Completer.custom_matchers.append(magics.matcher)


def unregister(ip: InteractiveShell) -> None:
    """Take `%%oss` and `%oss` away from a shell; nothing of them is left."""
    magics = ip.magics_manager.registry.pop(GptOssMagics.__name__)
    ip.Completer.custom_matchers.remove(magics.matcher)
    for kind in ("line", "cell"):
        del ip.magics_manager.magics[kind]["oss"]


def _keep_fault(notices: list[str], error: BaseException) -> None:
    """Keep what a tool raised for `%tb` and `%debug`, and say so."""
    sys.last_type, sys.last_value, sys.last_traceback = type(error), error, error.__traceback__
    if sys.version_info >= (3, 12):
        sys.last_exc = error
    notice = "a tool raised an exception: %tb shows where, %debug goes there"
    if notice not in notices:
        notices.append(notice)


def _request_fields(options: argparse.Namespace) -> dict[str, Any]:
    fields = {name: getattr(options, name) for name in REQUEST_FLAGS}
    fields["reasoning_effort"] = options.effort
    return {name: value for name, value in fields.items() if value is not None}


def _is_terminal(shell: InteractiveShell) -> bool:
    # By name: importing the class would load prompt_toolkit into every kernel.
    return any(base.__name__ == "TerminalInteractiveShell" for base in type(shell).__mro__)
