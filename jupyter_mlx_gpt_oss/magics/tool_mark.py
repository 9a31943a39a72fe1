"""`@tool`: mark a function of the notebook as one that every `%%oss` cell offers to the model.

The mark is on the function itself, so there is no list to keep: a function that is defined again replaces
itself, and one that is deleted is gone. Light, as it is imported with the package.
"""

import inspect
import re
from collections.abc import Callable, Mapping
from functools import cache, partial
from types import FunctionType
from typing import Any, TypeVar, overload

from jupyter_mlx_gpt_oss.errors import MagicUsageError

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])

_MARK = "_jupyter_mlx_gpt_oss_tool"
_CONFIRM = "_jupyter_mlx_gpt_oss_confirm"
POSSIBLE_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
"""Of a tool, as OpenAI has it."""
_CACHED = type(cache(lambda: None))  # has the mark of the function that it is of
# `_`, `__`, `___`, `_12`: IPython's last values, which keep a function that was defined again or deleted.
_HISTORY_NAME = re.compile(r"_{1,3}|_\d+")


@overload
def tool(function: FunctionT, *, confirm: bool = ...) -> FunctionT: ...


@overload
def tool(*, confirm: bool = ...) -> Callable[[FunctionT], FunctionT]: ...


def tool(function: Any = None, *, confirm: bool = False) -> Any:
    """Offer `function` to the model in every `%%oss` cell of this notebook, and return it unchanged.

    Its signature, type hints and docstring make the schema that the model reads.

    Args:
        function: under `@tool`; nothing under `@tool(confirm=True)`.
        confirm: show each call, and make it after the user's yes.

    Raises:
        MagicUsageError: `function` is another kind of callable, which cannot carry the mark.
    """
    if function is None:
        return lambda function: tool(function, confirm=confirm)
    if not inspect.isfunction(function):
        raise MagicUsageError(
            f"@tool takes a function, not a {type(function).__name__}; offer it with -t NAME."
        )
    function.__dict__[_MARK] = True
    function.__dict__[_CONFIRM] = confirm
    return function


def marked_functions(namespace: Mapping[str, Any]) -> dict[str, Callable[..., Any]]:
    """Return the functions under `@tool` by their own names; of two the one whose variable has that name.

    Where no variable has it, and the name is several functions' (`wrapper`) or nobody's (a lambda), they have their
    variables' names.
    """
    variables = {
        variable: value
        for variable, value in namespace.items()
        if not _HISTORY_NAME.fullmatch(variable) and _is_marked(value)
    }
    functions: dict[str, Callable[..., Any]] = {}
    for variable, value in variables.items():
        name = value.__name__
        bearer = variables.get(name)
        if bearer is not None and bearer.__name__ == name:
            functions[name] = bearer
            continue
        is_alone = all(other is value for other in variables.values() if other.__name__ == name)
        functions[name if is_alone and POSSIBLE_NAME.fullmatch(name) else variable] = value
    return functions


def is_to_be_confirmed(function: object) -> bool:
    """Say whether `function`, or what a method or a partial calls, stands under `@tool(confirm=True)`."""
    while isinstance(function, partial) or inspect.ismethod(function):
        function = function.func if isinstance(function, partial) else function.__func__
    return bool(getattr(function, "__dict__", {}).get(_CONFIRM))


def _is_marked(value: object) -> bool:
    # By its type, which asks the value nothing: a notebook may hold proxies that raise whatever they are asked.
    return type(value) in {FunctionType, _CACHED} and _MARK in vars(value)
