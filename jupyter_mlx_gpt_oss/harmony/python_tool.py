"""GPT-OSS's own python tool: how the system message declares it, and its code as a tool call's arguments and back.

The model writes raw code where a client expects JSON. Knows no tokens and no headers.
Source: openai-harmony 0.0.8, `SystemContent.with_python_tool`; openai/gpt-oss, "Python tool".
"""

import json

PYTHON = "python"
"""The recipient of a call, and the name under which a client gets it."""

# Word for word what the model was trained on, and so not what is true of this notebook.
DECLARATION = """# Tools

## python

Use this tool to execute Python code in your chain of thought. The code will not be shown to the user. This tool \
should be used for internal reasoning, but not for code that is intended to be visible to the user (e.g. when creating \
plots, tables, or files).

When you send a message containing Python code to python, it will be executed in a stateful Jupyter notebook \
environment. python will respond with the output of the execution or time out after 120.0 seconds. The drive at \
'/mnt/data' can be used to save and persist user files. Internet access for this session is UNKNOWN. Depends on the \
cluster."""

_OPENING = '{"code": "'


class CodeText:
    """Write the raw code of one call as the JSON `{"code": …}`, piece by piece.

    The pieces, joined, do not depend on how the code was cut. White space at the beginning waits for what follows.
    """

    def __init__(self) -> None:
        self._beginning: list[str] = []
        self._is_open = False

    def feed(self, text: str) -> str:
        """Take more code; return the JSON that it adds. O(length of the text), amortised."""
        if self._is_open:
            return _escaped(text)
        self._beginning.append(text)
        if not text.strip():
            return ""
        self._is_open = True
        return _OPENING + _escaped("".join(self._beginning))

    def close(self, *, truncated: bool) -> str:
        """Return the rest; of truncated code the JSON stays open, and nothing comes of white space alone."""
        if truncated:
            return ""
        opening = "" if self._is_open else _OPENING + _escaped("".join(self._beginning))
        return f'{opening}"}}'


def arguments_to_code(arguments: str) -> str:
    """Return the code in a call's arguments; arguments of another shape are taken for the code itself."""
    try:
        found = json.loads(arguments)
    except (ValueError, RecursionError):
        return arguments
    match found:
        case {"code": str(code)}:
            return code
    return arguments


def _escaped(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]
