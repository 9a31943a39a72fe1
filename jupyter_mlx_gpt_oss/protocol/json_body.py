"""Turn the bytes of a request into a JSON object that holds no surprise.

Python's reader takes more than JSON allows: NaN, the last of two equal keys, any depth. Such bodies are refused here,
so that no later room meets them.
"""

import json
import math
from collections import Counter
from typing import Any, NoReturn

from jupyter_mlx_gpt_oss.errors import InvalidRequestError

MAX_DEPTH = 128
"""Arrays and objects within each other; a JSON schema written by hand stays far below."""
MAX_VALUES = 300_000
"""Commas and brackets, in texts too. Many small values cost far more than a long text: 16 MiB of `[]` take seconds."""


def parse_json_object(body: bytes) -> dict[str, Any]:
    """Read a body that must be one JSON object.

    Raises:
        InvalidRequestError: not UTF-8, not JSON, not an object, a key twice, NaN or infinity, nested deeper than
            MAX_DEPTH, or of more values than MAX_VALUES; the field is named where there is one.
    """
    if sum(map(body.count, (b",", b"[", b"{"))) > MAX_VALUES:
        raise InvalidRequestError(f"The body has more than {MAX_VALUES:,} commas and brackets.")
    try:
        value = json.loads(body.decode(), object_pairs_hook=_object_of_pairs, parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        raise InvalidRequestError("The body is not UTF-8.") from error
    except RecursionError as error:
        raise InvalidRequestError(f"The body is nested deeper than {MAX_DEPTH} levels.") from error
    except ValueError as error:
        raise InvalidRequestError(f"The body is not JSON: {_place_of(error)}.") from error
    if not isinstance(value, dict):
        raise InvalidRequestError("The body must be a JSON object.")
    _check_values(value)
    return value


def without_lone_surrogates(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the same fields, with U+FFFD for what JSON can spell and UTF-8 cannot: they can be written again."""
    return {_whole_text(key): _whole(value) for key, value in fields.items()}


def _whole(value: Any) -> Any:
    if isinstance(value, str):
        return _whole_text(value)
    if isinstance(value, dict):
        return without_lone_surrogates(value)
    return [_whole(item) for item in value] if isinstance(value, list) else value


def _whole_text(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def field_path(parts: tuple[str | int, ...]) -> str:
    """Write a path as OpenAI does: `messages[2].content`."""
    path = ""
    for part in parts:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    return path


def _place_of(error: ValueError) -> str:
    # Only the place and the rule: other texts of the reader may quote the body.
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at line {error.lineno}, column {error.colno}"
    return "a number has too many digits"


def _object_of_pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        counts = Counter(key for key, _ in pairs)
        twice = next(key for key in counts if counts[key] > 1)
        raise InvalidRequestError(f"The key {twice[:64]!r} stands twice in one object.", param=twice[:64])
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise InvalidRequestError(f"{name} is not a number in JSON.")


def _check_values(body: dict[str, Any]) -> None:
    waiting: list[tuple[tuple[str | int, ...], Any]] = [((), body)]
    while waiting:
        path, value = waiting.pop()
        if len(path) >= MAX_DEPTH and isinstance(value, dict | list):
            raise InvalidRequestError(
                f"The body is nested deeper than {MAX_DEPTH} levels.", param=str(path[0])
            )
        if isinstance(value, dict):
            waiting.extend(((*path, key), item) for key, item in value.items())
        elif isinstance(value, list):
            waiting.extend(
                ((*path, index), item)
                for index, item in enumerate(value)
                if isinstance(item, dict | list | float)  # a prompt may be 100,000 integers
            )
        elif isinstance(value, float) and not math.isfinite(value):
            raise InvalidRequestError("The number is too large.", param=field_path(path))
