"""OpenAI's tool definitions to the `# Tools` section of Harmony's developer message.

The python tool, which the system message declares, is only told apart here.
Source: openai/harmony docs/format.md, "Function calling".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jupyter_mlx_gpt_oss.errors import InvalidRequestError, UnsupportedFeatureError
from jupyter_mlx_gpt_oss.harmony.fields import optional_text, require_list, require_name, require_object
from jupyter_mlx_gpt_oss.harmony.python_tool import PYTHON
from jupyter_mlx_gpt_oss.harmony.schema_limits import MAX_TOOLS
from jupyter_mlx_gpt_oss.harmony.typescript import schema_to_type


@dataclass(frozen=True, slots=True)
class FunctionTool:
    """One function that the model may call."""

    name: str
    description: str
    parameters_type: str | None
    """In TypeScript; None: it takes no parameters."""

    def declaration(self) -> str:
        """Return the function as the model was taught to read it."""
        comments = "".join(f"// {line}\n" for line in self.description.splitlines())
        parameters = f"_: {self.parameters_type}" if self.parameters_type else ""
        return f"{comments}type {self.name} = ({parameters}) => any;"


def read_tools(tools: Sequence[Mapping[str, Any]]) -> list[FunctionTool]:
    """Check OpenAI's `tools`, and return the functions among them.

    Raises:
        InvalidRequestError: too many, a wrong shape, a bad name or the same name twice; names the field.
    """
    if len(require_list(tools, "tools")) > MAX_TOOLS:
        message = f"tools holds {len(tools)} tools; at most {MAX_TOOLS} are taken."
        raise InvalidRequestError(message, param="tools")
    functions: list[FunctionTool] = []
    names: set[str] = set()
    for index, tool in enumerate(tools):
        param = f"tools[{index}]"
        if _is_python(require_object(tool, param)):
            name = PYTHON
        else:
            functions.append(_read_function(tool, param))
            name, param = functions[-1].name, f"{param}.function.name"
        if name in names:
            raise InvalidRequestError(f"{param} repeats the name of another tool.", param=param)
        names.add(name)
    return functions


def offers_python(tools: Sequence[Mapping[str, Any]]) -> bool:
    """Say whether checked tools hold `{"type": "python"}`."""
    return any(map(_is_python, tools))


def render_tools(functions: Sequence[FunctionTool]) -> str:
    """Return the `# Tools` section; there is at least one function."""
    declarations = "\n\n".join(function.declaration() for function in functions)
    return f"# Tools\n\n## functions\n\nnamespace functions {{\n\n{declarations}\n\n}} // namespace functions"


def _is_python(tool: Mapping[str, Any]) -> bool:
    return tool.get("type") == "python"


def _read_function(fields: Mapping[str, Any], param: str) -> FunctionTool:
    if fields.get("type") == "custom":
        message = f"{param}.type custom is not served; declare a function with one string."
        raise UnsupportedFeatureError(message, param=f"{param}.type")
    if fields.get("type") != "function":
        raise InvalidRequestError(f"{param}.type must be function or python.", param=f"{param}.type")
    function = require_object(fields.get("function"), f"{param}.function")
    name = require_name(function.get("name"), f"{param}.function.name")
    description = optional_text(function, "description", f"{param}.function")
    parameters = function.get("parameters")
    if parameters is None:
        return FunctionTool(name, description, None)
    path = f"{param}.function.parameters"
    return FunctionTool(name, description, schema_to_type(require_object(parameters, path), path))
