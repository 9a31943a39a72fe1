"""Turn functions of the notebook into tools: a schema that the model reads, a call that is validated.

Knows pydantic, so it is imported when a cell has a tool. Knows nothing of IPython or HTTP.
"""

import inspect
from collections.abc import AsyncIterable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any

import pydantic
import pydantic_core
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema
from typing_extensions import override

from jupyter_mlx_gpt_oss.errors import MagicUsageError
from jupyter_mlx_gpt_oss.magics.asking import is_allowed_by_user
from jupyter_mlx_gpt_oss.magics.coroutines import run_coroutine
from jupyter_mlx_gpt_oss.magics.docstring import parameter_texts, summary_of
from jupyter_mlx_gpt_oss.magics.render_text import call_to_text
from jupyter_mlx_gpt_oss.magics.segments import ToolCallSegment, ToolResult
from jupyter_mlx_gpt_oss.magics.tool_mark import POSSIBLE_NAME, is_to_be_confirmed, marked_functions
from jupyter_mlx_gpt_oss.magics.variables import bounded, describe

MAX_RESULT_CHARS = 20_000
MAX_ASKED_CHARS = 200


class UntitledJsonSchema(GenerateJsonSchema):
    """Pydantic's schema without the titles that only repeat a name: they would cost prompt tokens."""

    @override
    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that the model may call.

    `arguments` is a pydantic model with one field per parameter; a field's alias is the parameter's name, so
    that a parameter may have any name. `show` shows what the function returned, if it is more than text, and says
    whether it has; `keep_fault` keeps what it raised for the user. `may_call` is asked with the arguments before each call.
    """

    name: str
    description: str
    function: Callable[..., Any]
    arguments: type[pydantic.BaseModel]
    show: Callable[[object], bool] = lambda _: False
    keep_fault: Callable[[BaseException], None] = lambda _: None
    may_call: Callable[[str], bool] = lambda _: True

    @property
    def schema(self) -> dict[str, Any]:
        """The tool as OpenAI's `tools` entry."""
        parameters = self.arguments.model_json_schema(schema_generator=UntitledJsonSchema)
        parameters.pop("title", None)
        function = {"name": self.name, "description": self.description, "parameters": parameters}
        return {"type": "function", "function": function}

    def call(self, arguments: str) -> ToolResult:
        """Call the function with the model's arguments; whatever goes wrong is a result that says so.

        A coroutine runs in the loop that is kept for them. Ctrl-C passes through.

        Raises:
            MagicUsageError: the user is to be asked, and cannot be.
        """
        try:
            values = self.arguments.model_validate_json(arguments or "{}")
        except pydantic.ValidationError as error:
            return _failure(f"Invalid arguments: {validation_faults(error)}")
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001  validators are the user's code too
            return _failure(f"Invalid arguments: {_said(error)}")
        if not self.may_call(arguments):
            return _failure("Not called: the user said no.")
        try:
            value = self._run(values)
            return ToolResult(_result_to_text(value), is_shown=self.show(value))
        except KeyboardInterrupt:
            raise
        # The function is the user's and may raise anything; the model is told, the user sees it.
        except BaseException as error:  # noqa: BLE001  a tool is the user's code: whatever it raises is its result
            self.keep_fault(error)
            return _failure(_said(error))

    def _run(self, values: pydantic.BaseModel) -> Any:
        positional, named = [], {}
        parameters = inspect.signature(self.function).parameters
        for field_name, field in type(values).model_fields.items():
            assert field.alias is not None
            parameter, value = parameters[field.alias], getattr(values, field_name)
            is_left_out = field_name not in values.model_fields_set
            has_own = parameter.default is not parameter.empty and not isinstance(
                parameter.default, FieldInfo
            )
            if is_left_out and has_own:
                value = parameter.default  # itself: pydantic has a copy of what may change
            if parameter.kind is parameter.POSITIONAL_ONLY:
                positional.append(value)
            else:
                named[field.alias] = value
        result = self.function(*positional, **named)
        if inspect.isasyncgen(result):
            return run_coroutine(_all_of(result))
        if inspect.iscoroutine(result):
            return run_coroutine(result)
        # Here, since what a generator raises would be lost where its items are made JSON.
        return list(result) if inspect.isgenerator(result) else result


def function_to_tool(name: str, function: Callable[..., Any]) -> Tool:
    """Read the signature, type hints and docstring of `function`.

    Raises:
        MagicUsageError: no tool may have that name, or a parameter has a type that no JSON schema describes.
    """
    if not POSSIBLE_NAME.fullmatch(name):
        reason = "a tool's name has 1 to 64 letters from a to z, digits, `_` and `-`"
        raise MagicUsageError(f"{name} cannot be a tool: {reason}.")
    signature = _read_signature(name, function)
    try:
        arguments = _signature_to_model(name, signature, parameter_texts(function))
        tool = Tool(name, summary_of(function), function, arguments)
        _ = tool.schema  # fails here, in one line, rather than in the middle of a request
    except (NameError, TypeError, ValueError, pydantic.errors.PydanticUserError) as error:
        first_line = str(error).partition("\n")[0]
        raise MagicUsageError(f"{name} cannot be a tool: {first_line}") from error
    return tool


def validation_faults(error: pydantic.ValidationError) -> str:
    """Return every fault that pydantic found in some JSON, each with the path to it, in one line."""
    faults = (f"{'.'.join(map(str, fault['loc'])) or 'all'}: {fault['msg']}" for fault in error.errors())
    return "; ".join(faults)


def is_call_allowed(name: str, arguments: str) -> bool:
    """Ask the user whether the call above may be made; no answer is no.

    Raises:
        MagicUsageError: the front end takes no input.
    """
    call = call_to_text(ToolCallSegment(0, 0, "", name, arguments))
    question = f"Call {call if len(call) <= MAX_ASKED_CHARS else name}?"
    return is_allowed_by_user(
        question, who=name, advice="Without confirm=True, @tool calls it without asking."
    )


def collect_tools(
    namespace: Mapping[str, Any],
    names: Iterable[str],
    *,
    show: Callable[[object], bool] = lambda _: False,
    keep_fault: Callable[[BaseException], None] = lambda _: None,
    may_call: Callable[[str, str], bool] = is_call_allowed,
) -> dict[str, Tool]:
    """Return the tools of a cell by name: every function under `@tool`, and those in `names`.

    Args:
        namespace: the variables of the notebook.
        names: functions that the cell names.
        show: shows what a function returned, if it is more than text, and says whether it has.
        keep_fault: keeps what a function raised.
        may_call: says whether a function that is to be confirmed, named with its arguments, may be called.

    Raises:
        MagicUsageError: a name is not a function of the notebook, or cannot be a tool.
    """
    functions = marked_functions(namespace)
    for name in names:
        function = namespace.get(name)
        if not callable(function):
            raise MagicUsageError(f"-t {name}: the notebook has no function of that name.")
        functions[name] = function
    tools = {
        name: replace(function_to_tool(name, function), show=show, keep_fault=keep_fault)
        for name, function in functions.items()
    }
    return {
        name: replace(tool, may_call=partial(may_call, name)) if is_to_be_confirmed(tool.function) else tool
        for name, tool in tools.items()
    }


def _read_signature(name: str, function: Callable[..., Any]) -> inspect.Signature:
    try:
        return inspect.signature(function, eval_str=True)
    except Exception as error:  # a hint in quotes may be no Python, and may raise anything
        first_line = str(error).partition("\n")[0]
        raise MagicUsageError(f"{name} cannot be a tool: {type(error).__name__}: {first_line}") from error


def _signature_to_model(
    name: str, signature: inspect.Signature, texts: Mapping[str, str]
) -> type[pydantic.BaseModel]:
    fields: dict[str, Any] = {}
    for number, parameter in enumerate(signature.parameters.values()):
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        annotation = Any if parameter.annotation is parameter.empty else parameter.annotation
        options: dict[str, Any] = {
            "default": ... if parameter.default is parameter.empty else parameter.default
        }
        if isinstance(parameter.default, FieldInfo):  # `city: str = Field(description="…")`
            annotation = Annotated[annotation, parameter.default]
            options = _default_of(parameter.default)
        if text := texts.get(parameter.name):
            options["description"] = text
        fields[f"argument_{number}"] = (annotation, pydantic.Field(**options, alias=parameter.name))
    return pydantic.create_model(name, __config__=pydantic.ConfigDict(extra="forbid"), **fields)


async def _all_of(generator: AsyncIterable[Any]) -> list[Any]:
    return [item async for item in generator]


def _default_of(field: FieldInfo) -> dict[str, Any]:
    if field.default_factory is not None:
        return {"default_factory": field.default_factory}
    return {"default": ... if field.is_required() else field.default}


def _said(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception:  # noqa: BLE001  the exception is the user's code as well
        text = "its text cannot be made"
    return f"{type(error).__name__}: {text}"


def _failure(text: str) -> ToolResult:
    return ToolResult(bounded(text, MAX_RESULT_CHARS), is_error=True)


def _result_to_text(value: Any) -> str:
    """Return a text as it is, a value that JSON knows as JSON, and anything else as a person would say it."""
    if isinstance(value, str):
        return bounded(value, MAX_RESULT_CHARS)
    try:
        text = pydantic_core.to_json(value, fallback=describe).decode()
    except ValueError:  # bytes that are no UTF-8, a list in itself
        return describe(value)
    if text.startswith('"'):
        text = str(pydantic_core.from_json(text))
    return bounded(text, MAX_RESULT_CHARS)
