"""The flags of `%%oss`, once: what argparse reads, `%%oss?` shows and completion offers.

Knows IPython's magic arguments; their decorators are not annotated, so the types are given here.
"""

import argparse
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from IPython.core.magic import cell_magic, line_magic, no_var_expand
from IPython.core.magic_arguments import argument, magic_arguments

from jupyter_mlx_gpt_oss.errors import MagicUsageError
from jupyter_mlx_gpt_oss.magics.conversation import DEFAULT_NAME

MethodT = TypeVar("MethodT", bound=Callable[..., Any])

EFFORTS = ("low", "medium", "high", "none")
PYTHON_MODES = ("ask", "auto", "off")
DEFAULT_MAX_TURNS = 8


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag: its spellings, the long one last, and how argparse takes it."""

    names: tuple[str, ...]
    settings: dict[str, Any]


def _flag(*names: str, **settings: Any) -> Flag:
    return Flag(names, settings)


FLAGS = (
    _flag(
        "-e", "--effort", choices=EFFORTS, help="How much the model reasons; the server's default: medium."
    ),
    _flag(
        "-t", "--tool", action="append", default=[], metavar="NAME", help="Offer this function. Repeatable."
    ),
    _flag(
        "--python",
        choices=PYTHON_MODES,
        default="off",
        help="Let the model run Python code here: ask before each run, run it, or not at all (default: off).",
    ),
    _flag("--new", action="store_true", help="Start the conversation over with this cell."),
    _flag("-c", "--chat", default=DEFAULT_NAME, help="Name of the conversation that this cell continues."),
    _flag("-s", "--system", help="Instructions for the model, for this cell and those that follow it."),
    _flag("--schema", metavar="NAME", help="Ask for JSON of this pydantic model, type or JSON schema."),
    _flag("-o", "--output", metavar="NAME", help="Variable that takes the answer; `_` has it too."),
    _flag("--max-tokens", type=int, help="Most tokens of the answer, reasoning included."),
    _flag("--temperature", type=float, help="0 takes the likeliest token; the server's default: 1."),
    _flag("--top-p", type=float, help="Sample from the likeliest tokens of this total probability."),
    _flag("--seed", type=int, help="Same seed, same question: same answer."),
    _flag(
        "--max-turns",
        type=int,
        default=DEFAULT_MAX_TURNS,
        help="How often the model may be asked in this cell, tool calls between (default: 8).",
    ),
    _flag("--hide-reasoning", action="store_true", help="Do not show the reasoning."),
    _flag("--raw", action="store_true", help="Take {name} as it stands, not as a variable."),
)


def oss_cell_magic(method: MethodT) -> MethodT:
    """Make a method the cell magic `%%oss`, with FLAGS; the line's braces are left alone."""
    plain: Any = no_var_expand
    magic: Any = plain(method)
    for flag in reversed(FLAGS):
        add: Any = argument
        magic = add(*flag.names, **flag.settings)(magic)
    build: Any = magic_arguments
    name: Any = cell_magic("oss")
    made: MethodT = name(build("%oss")(magic))
    return made


def oss_line_magic(method: MethodT) -> MethodT:
    """Make a method the line magic `%oss`; its braces are left alone."""
    plain: Any = no_var_expand
    name: Any = line_magic("oss")
    made: MethodT = name(plain(method))
    return made


def parse_options(magic: Any, line: str) -> argparse.Namespace:
    """Return the flags in `line`, as the cell magic `magic` takes them.

    Raises:
        MagicUsageError: a value that cannot be used. (IPython's UsageError: no such flag.)
    """
    options: argparse.Namespace = magic.parser.parse_args(split_words(line))
    if options.output is not None and not options.output.isidentifier():
        raise MagicUsageError(f"-o {options.output}: a variable cannot have this name.")
    if options.max_turns < 1:
        raise MagicUsageError(f"--max-turns {options.max_turns}: it is at least 1.")
    return options


def split_words(line: str) -> list[str]:
    """Split the line of a magic as a shell would: quotes hold words together and are taken off.

    Raises:
        MagicUsageError: a quote is not closed.
    """
    try:
        return shlex.split(line)
    except ValueError as error:
        raise MagicUsageError(f"{error} in {line!r}; put a text with spaces in a pair of quotes.") from error
