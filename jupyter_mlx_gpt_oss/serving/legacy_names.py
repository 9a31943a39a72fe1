"""An error about `tools` and `tool_choice` in the words of a client that sent `functions` and `function_call`.

Source: OpenAI's API reference for chat completions, the deprecated fields.
"""

import re

from jupyter_mlx_gpt_oss.errors import InvalidRequestError
from jupyter_mlx_gpt_oss.protocol.chat_completions import ChatCompletionRequest


def in_legacy_names(error: InvalidRequestError, request: ChatCompletionRequest) -> InvalidRequestError:
    """Return the error with the fields named as the request has them."""
    num_tools = len(request.tools or ())

    def function_of(tool: re.Match[str]) -> str:
        index = int(tool[1]) - num_tools
        return tool[0] if index < 0 else f"functions[{index}]"

    def renamed(text: str) -> str:
        text = re.sub(r"\btools\[(\d+)\](?:\.function)?", function_of, text)
        if request.tool_choice is None and request.function_call is not None:
            text = re.sub(r"\btool_choice(?:\.function)?\b", "function_call", text)
        return text

    return InvalidRequestError(renamed(error.message), param=error.param and renamed(error.param))
