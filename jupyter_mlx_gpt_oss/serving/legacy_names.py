"""An error about `tools` and `tool_choice` in the words of a client that sent `functions` and `function_call`.

Source: OpenAI's API reference for chat completions, the deprecated fields.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from jupyter_mlx_gpt_oss.errors import InvalidRequestError
from jupyter_mlx_gpt_oss.protocol.chat_completions import ChatCompletionRequest


@contextmanager
def legacy_names(request: ChatCompletionRequest) -> Iterator[None]:
    """Name the fields as the request has them, in whatever is refused within."""
    try:
        yield
    except InvalidRequestError as error:
        param = error.param and _renamed(error.param, request)
        raise InvalidRequestError(_renamed(error.message, request), param=param) from None


def _renamed(text: str, request: ChatCompletionRequest) -> str:
    num_tools = len(request.tools or ())

    def function_of(tool: re.Match[str]) -> str:
        index = int(tool[1]) - num_tools
        return tool[0] if index < 0 else f"functions[{index}]"

    if not num_tools and request.functions:
        text = re.sub(r"\btools\b(?!\[)", "functions", text)
    text = re.sub(r"\btools\[(\d+)\](?:\.function)?", function_of, text)
    if request.tool_choice is None and request.function_call is not None:
        text = re.sub(r"\btool_choice(?:\.function)?\b", "function_call", text)
    return text
