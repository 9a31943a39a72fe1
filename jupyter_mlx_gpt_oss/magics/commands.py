"""The words of `%oss`: look after the server, its model and the conversations; take code out of an answer."""

import os
import shlex
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from IPython.core.interactiveshell import InteractiveShell

from jupyter_mlx_gpt_oss.client.client import Client
from jupyter_mlx_gpt_oss.errors import CellInterruptedError, ClientError, MagicUsageError
from jupyter_mlx_gpt_oss.magics.answer import Answer
from jupyter_mlx_gpt_oss.magics.code_blocks import python_blocks
from jupyter_mlx_gpt_oss.magics.conversation import DEFAULT_NAME, Conversation
from jupyter_mlx_gpt_oss.magics.failure import failure_message
from jupyter_mlx_gpt_oss.magics.finding import find_client
from jupyter_mlx_gpt_oss.magics.history import history_rows
from jupyter_mlx_gpt_oss.magics.json_table import cells_to_table, rows_to_table
from jupyter_mlx_gpt_oss.magics.outputs import Output
from jupyter_mlx_gpt_oss.magics.render_html import quiet_line_to_html
from jupyter_mlx_gpt_oss.magics.render_text import counted, visible, whole_characters
from jupyter_mlx_gpt_oss.magics.status import loading_lines, status_rows
from jupyter_mlx_gpt_oss.magics.tool_mark import marked_functions

MAX_FLAGS = 100

Rows = list[tuple[str, str]]


class CommandState(Protocol):
    """What the commands read and change; `GptOssMagics` has it."""

    ip: InteractiveShell
    conversations: dict[str, Conversation]
    url: str
    key: str
    model: str
    last_answer: Answer | None

    def ask(self, line: str, cell: str) -> None:
        """Run `%%oss`."""

    def variables(self) -> dict[str, Any]:
        """Return the variables of the notebook."""


class Commands:
    """Runs one line of `%oss`."""

    def __init__(self, state: CommandState) -> None:
        self._state = state

    def run(self, words: list[str]) -> None:
        """Run the command that `words` name, and show what it says.

        Raises:
            MagicUsageError: no such word, or too few or too many after it.
            ServerNotFoundError: the command needs a server, and none answers.
        """
        word, *arguments = words or ["status"]
        commands: dict[str, tuple[Callable[..., Rows], int, int]] = {
            "status": (self._status, 0, 1),
            "model": (self._model, 1, 1),
            "unload": (self._unload, 0, 0),
            "code": (self._code, 0, 0),
            "fix": (self._fix, 0, MAX_FLAGS),
            "reset": (self._reset, 0, 1),
            "chats": (self._chats, 0, 0),
            "history": (self._history, 0, 1),
            "tools": (self._tools, 0, 0),
            "connect": (self._connect, 1, 2),
        }
        if word not in commands:
            raise MagicUsageError(
                f"%oss {word}: the words are {', '.join(commands)}. Ask a question with %%oss."
            )
        command, least, most = commands[word]
        if not least <= len(arguments) <= most:
            raise MagicUsageError(f"%oss {word}: {len(arguments)} words after it; %oss? shows what it takes.")
        rows = command(*arguments)
        if rows:
            self._show(rows)

    def _show(self, rows: Rows, html: str = "") -> None:
        width = max((len(name) for name, _ in rows), default=0)
        margin = " " * (width + 2)
        lines = (f"{name:<{width}}  {value}".rstrip().splitlines() for name, value in rows)
        text = "\n".join(
            "\n".join([first, *(f"{margin}{line}".rstrip() for line in rest)]) for first, *rest in lines
        )
        bundle = {"text/html": whole_characters(html or rows_to_table(rows)), "text/plain": visible(text)}
        self._state.ip.display_pub.publish(bundle)

    def _status(self, extra: str = "") -> Rows:
        if extra not in {"", "key"}:
            raise MagicUsageError(f"%oss status {extra}: only the word key may stand there.")
        client, card = self._find()
        return status_rows(client.connection, card, _health(client), shows_key=extra == "key")

    def _connect(self, url: str, key: str = "") -> Rows:
        client, card = find_client(url, key)
        found = client.connection  # its key may have been in the URL
        self._state.url, self._state.key, self._state.model = found.base_url, found.key, ""
        return status_rows(client.connection, card, _health(client))

    def _model(self, name: str) -> Rows:
        client, card = self._find()
        if "demo" not in card:  # a server that is not ours loads what it serves by itself
            return self._choose(client, name)
        output = Output(self._state.ip.display_pub.publish)
        try:
            for line in chain(
                [f"loading {name}…"],
                loading_lines(name, client.load(_name_for_server(name, client.connection.base_url))),
                [f"{name} is loaded"],
            ):
                output.put(quiet_line_to_html(line), line)
        except KeyboardInterrupt:
            raise CellInterruptedError("the server goes on loading; %oss status shows its state.") from None
        return status_rows(client.connection, client.model_card(), client.health())

    def _choose(self, client: Client, name: str) -> Rows:
        names = [card["id"] for card in client.model_cards()]
        if name not in names:
            raise MagicUsageError(
                f"%oss model {name}: {client.connection.base_url} serves {', '.join(names)}."
            )
        self._state.model = name
        return status_rows(client.connection, client.model_card(name), _health(client))

    def _find(self) -> tuple[Client, dict[str, Any]]:
        return find_client(self._state.url, self._state.key, self._state.model)

    def _unload(self) -> Rows:
        client, _ = self._find()
        return [("Model", f"{client.unload().get('state', 'unloaded')}; the next question loads it again")]

    def _code(self) -> Rows:
        answer = self._state.last_answer
        blocks = python_blocks(answer.text) if answer is not None else []
        if not blocks:
            raise MagicUsageError("%oss code: the last answer has no block of Python.")
        put_below: Callable[[str], None] = self._state.ip.set_next_input
        put_below("\n\n".join(blocks))
        return []

    def _fix(self, *flags: str) -> Rows:
        message = failure_message(self._state.ip.history_manager)
        if message is None:
            raise MagicUsageError("%oss fix: no cell of this notebook has failed.")
        self._state.ask(shlex.join(["--raw", *flags]), message)
        return []

    def _reset(self, chat: str = DEFAULT_NAME) -> Rows:
        self._find_conversation(chat)
        del self._state.conversations[chat]
        return [(chat, "forgotten")]

    def _chats(self) -> Rows:
        found = self._state.conversations.values()
        return [(chat.name, counted(len(chat.messages), "message")) for chat in found] or [("no chats", "")]

    def _history(self, chat: str = DEFAULT_NAME) -> Rows:
        rows = list(history_rows(self._find_conversation(chat).messages))
        if not rows:
            return [("no messages", "")]
        self._show(
            [(row.role, row.text) for row in rows], cells_to_table([(row.role, row.html) for row in rows])
        )
        return []

    def _tools(self) -> Rows:
        if not marked_functions(self._state.variables()):
            return [("no tools", "put @tool over a function, or name it with -t")]
        from jupyter_mlx_gpt_oss.magics.tools import collect_tools  # noqa: PLC0415  it loads pydantic

        tools = collect_tools(self._state.variables(), ())
        return [(tool.name, tool.description or "(no docstring)") for tool in tools.values()]

    def _find_conversation(self, chat: str) -> Conversation:
        if chat not in self._state.conversations and chat != DEFAULT_NAME:
            raise MagicUsageError(f"There is no chat named {chat!r}; %oss chats lists them.")
        return self._state.conversations.setdefault(chat, Conversation(chat))


def _health(client: Client) -> dict[str, Any]:
    """Return what a server says of its health; nothing where that is not to be had, as from servers that are not ours."""
    try:
        return client.health()
    except ClientError:
        return {}


def _name_for_server(name: str, base_url: str) -> str:
    """Return what a server on this machine knows a model by: a directory by its whole path, since it may work in another."""
    server = urlsplit(base_url)
    is_here = server.scheme == "http+unix" or server.hostname in {"127.0.0.1", "::1", "localhost"}
    is_directory = name != "demo" and not name.startswith("~") and os.path.isdir(name)  # noqa: PTH112  Path's own may raise
    return str(Path(name).absolute()) if is_here and is_directory else name
