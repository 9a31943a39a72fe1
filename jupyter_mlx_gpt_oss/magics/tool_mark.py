"""`@tool`: mark a function of the notebook as one that every `%%oss` cell offers to the model.

The mark is on the function itself, so there is no list to keep: a function that is defined again replaces
itself, and one that is deleted is gone. Light, as it is imported with the package.
"""

import inspect
from collections.abc import Callable
from typing import Any, TypeVar, overload

from jupyter_mlx_gpt_oss.errors import MagicUsageError

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])

_MARK = "_jupyter_mlx_gpt_oss_tool"
_CONFIRM = "_jupyter_mlx_gpt_oss_confirm"


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


def is_marked(value: object) -> bool:
    """Say whether `value` is a function under `@tool`."""
    return inspect.isfunction(value) and _MARK in value.__dict__


def is_to_be_confirmed(function: object) -> bool:
    """Say whether `function` stands under `@tool(confirm=True)`."""
    return inspect.isfunction(function) and bool(function.__dict__.get(_CONFIRM))
