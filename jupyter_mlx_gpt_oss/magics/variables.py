r"""Put variables of the notebook into a message: `{name}`, `{name.attr}`, `{name[0]}`, `{name["key"]}`.

Only a name that the notebook has is replaced, and only where its brace does not belong to what stands before it,
as in `\frac{a}{b}`; every other brace stays as it is, so JSON, LaTeX and code can be pasted. Nothing is evaluated
beyond attribute and index access, and `str.format` is never used.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from jupyter_mlx_gpt_oss.errors import MagicUsageError
from jupyter_mlx_gpt_oss.magics.answer import Answer

MAX_DESCRIPTION_CHARS = 4000
MAX_ROWS = 10
"""Of a table that does not fit whole."""
MAX_COLUMNS = 20
MAX_WHOLE_ROWS = 500
"""More do not fit, and take long to write."""

_STEP = r"""\.[^\W\d]\w*|\[-?\d+\]|\["[^"\n]*"\]|\['[^'\n]*'\]"""
# Braces that are doubled on both sides, as templates have them, are somebody else's.
_DOUBLED = r"\{\{[^{}]*\}\}"
_NAME_AND_PATH = rf"\{{([^\W\d]\w*)((?:{_STEP})*)\}}"
# LaTeX's arguments, subscripts and exponents. Letters of ASCII alone: Chinese is written without spaces.
_OWNS_BRACE = r"A-Za-z0-9_^\\\]}"
# Variables that stand together are one place: the brace after `}` belongs to what the first one belongs to.
_PLACE = re.compile(rf"{_DOUBLED}|(?<![{_OWNS_BRACE}])(?P<variables>(?:{_NAME_AND_PATH})+)")
_VARIABLE = re.compile(_NAME_AND_PATH)
_STEPS = re.compile(_STEP)


def expand_variables(text: str, namespace: Mapping[str, Any], cuts: list[str] | None = None) -> str:
    """Return `text` with each variable of `namespace` described in the place of its braces.

    Args:
        text: what the user wrote.
        namespace: the variables of the notebook.
        cuts: is given a line for each variable that does not stand there whole.

    Raises:
        MagicUsageError: a property or the text of a variable raises something.
    """

    def described(variable: re.Match[str]) -> str:
        name, path = variable.groups()
        if name not in namespace:
            return variable[0]
        try:
            value = _follow(namespace[name], path)
        except (AttributeError, LookupError, TypeError):
            return variable[0]
        except Exception as error:  # the notebook's code
            raise _unreadable(variable[0], error) from error
        try:
            description, cut = _describe(value)
        except Exception as error:  # the notebook's code
            raise _unreadable(variable[0], error) from error
        line = f"{variable[0]}: the model is given {cut}"
        if cut and cuts is not None and line not in cuts:
            cuts.append(line)
        return description

    return _PLACE.sub(
        lambda place: _VARIABLE.sub(described, place[0]) if place["variables"] else place[0], text
    )


def _unreadable(place: str, error: Exception) -> MagicUsageError:
    fault = f"{type(error).__name__}: {error}".partition("\n")[0]
    return MagicUsageError(f"{place}: {fault}. --raw takes braces as they stand.")


def _follow(value: Any, path: str) -> Any:
    for step in _STEPS.findall(path):
        if step.startswith("."):
            value = getattr(value, step[1:])
        elif step[1] in "\"'":
            value = value[step[2:-2]]
        else:
            value = value[int(step[1:-1])]
    return value


def describe(value: object) -> str:
    """Say a value as a person would: a text or an answer whole, a table or an array by shape, types and first rows.

    Anything else is bounded by MAX_DESCRIPTION_CHARS.
    """
    return _describe(value)[0]


def _describe(value: object) -> tuple[str, str]:
    """Return the description, and how much of the value it is; nothing where it is all of it."""
    if isinstance(value, str):
        return value, ""
    if isinstance(value, Answer):
        return value.text, ""
    cut = ""
    match (type(value).__module__.partition(".")[0], type(value).__name__):
        case ("pandas", "DataFrame"):
            text, cut = _describe_frame(value)
        case ("pandas", "Series"):
            text, cut = _describe_series(value)
        case ("numpy", "ndarray"):
            text, cut = _describe_array(value)
        case _:
            text = str(value)
    if len(text) > MAX_DESCRIPTION_CHARS:
        limit = f"{MAX_DESCRIPTION_CHARS:,} of {len(text):,} characters"
        cut = f"{limit} of {cut}" if cut else limit
    return bounded(text, MAX_DESCRIPTION_CHARS), cut


def bounded(text: str, max_chars: int) -> str:
    """Return `text`, or its beginning with a remark on how long it is in all."""
    if len(text) <= max_chars:
        return text
    return f"{text[:max_chars]}… ({len(text)} characters in all)"


# The three below take Any: pandas and numpy are the notebook's, not ours, and are not imported here.


def _describe_frame(frame: Any) -> tuple[str, str]:
    num_rows, num_columns = frame.shape
    types = ", ".join(f"{name}: {dtype}" for name, dtype in frame.dtypes.items())
    head = f"DataFrame of {num_rows} rows and {num_columns} columns ({types})."
    text, cut = _with_rows(head, num_rows, lambda count: frame.head(count).to_string(max_cols=MAX_COLUMNS))
    if num_columns > MAX_COLUMNS:
        columns = f"{MAX_COLUMNS} of {num_columns:,} columns"
        cut = f"{cut} and {columns}" if cut else columns
    return text, cut


def _describe_series(series: Any) -> tuple[str, str]:
    head = f"Series {series.name!r} of {len(series)} values ({series.dtype})."
    return _with_rows(head, len(series), lambda count: series.head(count).to_string())


def _with_rows(head: str, num_rows: int, rows: Callable[[int], str]) -> tuple[str, str]:
    """Return a description with all rows, if they fit, else with the first few; and how many these are."""
    if num_rows <= MAX_WHOLE_ROWS:
        text = f"{head}\n{rows(num_rows)}"
        if num_rows <= MAX_ROWS or len(text) <= MAX_DESCRIPTION_CHARS:
            return text, ""
    return f"{head} The first {MAX_ROWS}:\n{rows(MAX_ROWS)}", f"{MAX_ROWS} of {num_rows:,} rows"


def _describe_array(array: Any) -> tuple[str, str]:
    spread = ""
    if array.size and array.dtype.kind in "iuf":
        spread = f", from {array.min()} to {array.max()}, mean {array.mean():.6g}"
    text = str(array)  # numpy shortens that of a large one
    cut = f"a few of {array.size:,} values" if "..." in text and array.dtype.kind in "biufc" else ""
    return f"array of shape {array.shape} ({array.dtype}){spread}:\n{text}", cut
