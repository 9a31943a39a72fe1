"""Complete `%%oss` and `%oss`: flags and their values, words, chats, tools, and variables inside braces.

Knows IPython's matcher API, version 2. The chats and the variables are looked up when the user asks.
"""

import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from IPython.core.completer import (
    CompletionContext,
    SimpleCompletion,
    SimpleMatcherResult,
    context_matcher,
)

from jupyter_mlx_gpt_oss.magics.arguments import EFFORTS, FLAGS, PYTHON_MODES

WORDS = ("status", "model", "unload", "code", "fix", "reset", "chats", "history", "tools", "connect")
CHAT_WORDS = ("reset", "history")

_SHORT = {"--effort": "-e", "--tool": "-t", "--chat": "-c", "--output": "-o"}
_MAGIC = re.compile(r"\s*%{1,2}oss\b")
_OPEN_BRACE = re.compile(r"\{(\w*)$")
_LAST_WORDS = re.compile(r"(?:(\S+)\s+)?(\S*)$")


def make_matcher(
    chats: Callable[[], Iterable[str]], variables: Callable[[], Mapping[str, Any]]
) -> Callable[[CompletionContext], SimpleMatcherResult]:
    """Return a matcher for `Completer.custom_matchers`."""

    @context_matcher()  # type: ignore[untyped-decorator]  # IPython's is not annotated
    def oss_matcher(context: CompletionContext) -> SimpleMatcherResult:
        fragment, candidates = complete(context, chats(), variables())
        found = [SimpleCompletion(text, type="param") for text in candidates if text.startswith(fragment)]
        return {"completions": found, "suppress": bool(found), "matched_fragment": fragment}

    matcher: Callable[[CompletionContext], SimpleMatcherResult] = oss_matcher
    return matcher


def complete(
    context: CompletionContext, chats: Iterable[str], namespace: Mapping[str, Any]
) -> tuple[str, list[str]]:
    """Return what stands before the cursor, and everything that could stand in its place."""
    if not _MAGIC.match(context.full_text):
        return "", []
    head = context.line_with_cursor[: context.cursor_position]
    if context.cursor_line > 0:
        brace = _OPEN_BRACE.search(head)
        return (brace[1], _public_names(namespace)) if brace else ("", [])
    words = _LAST_WORDS.search(head)
    assert words is not None  # the pattern matches the empty string
    return words[2], _candidates(words[1] or "", chats, namespace, is_cell=head.lstrip().startswith("%%"))


def _candidates(
    previous: str, chats: Iterable[str], namespace: Mapping[str, Any], *, is_cell: bool
) -> list[str]:
    by_previous: dict[str, Iterable[str]] = {
        "-e": EFFORTS,
        "-t": (name for name in _public_names(namespace) if inspect.isroutine(namespace[name])),
        "--python": PYTHON_MODES,
        "-c": chats,
        "--schema": (name for name in _public_names(namespace) if isinstance(namespace[name], type | dict)),
        "-o": _public_names(namespace),
    }
    if is_cell:
        return list(by_previous.get(_SHORT.get(previous, previous), (flag.names[-1] for flag in FLAGS)))
    if previous in CHAT_WORDS:
        return list(chats)
    if previous == "status":
        return ["key"]
    return list(WORDS) if previous == "%oss" else []


def _public_names(namespace: Mapping[str, Any]) -> list[str]:
    return [name for name in namespace if not name.startswith("_")]
