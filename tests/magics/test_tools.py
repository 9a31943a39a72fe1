import asyncio
import contextvars
import enum
import functools
import json
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, Literal

import numpy as np
import pytest
from pydantic import BaseModel, Field
from typing_extensions import override

from jupyter_mlx_gpt_oss import tool
from jupyter_mlx_gpt_oss.errors import MagicUsageError
from jupyter_mlx_gpt_oss.magics.segments import ToolResult
from jupyter_mlx_gpt_oss.magics.tool_mark import marked_functions
from jupyter_mlx_gpt_oss.magics.tools import MAX_RESULT_CHARS, collect_tools, function_to_tool


def google(city: str, days: int = 1) -> str:
    """Say the weather.

    In one line.

    Args:
        city: where, as a person
            would say it.
        days (int): how many days

    Returns:
        The weather.
    """
    return f"{city}, {days}"


def numpy_style(city: str, days: int = 1) -> str:
    """Say the weather.

    In one line.

    Parameters
    ----------
    city : str
        where, as a person
        would say it.
    days
        how many days

    Returns
    -------
    str
        The weather.
    """
    return f"{city}, {days}"


def sphinx(city: str, days: int = 1) -> str:
    """Say the weather.

    In one line.

    :param city: where, as a person
        would say it.
    :param int days: how many days
    :returns: the weather
    """
    return f"{city}, {days}"


@pytest.mark.parametrize("function", [google, numpy_style, sphinx])
def test_signature_hints_and_docstring_make_the_schema(function: Any) -> None:
    assert function_to_tool("weather", function).schema == {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "Say the weather.\n\nIn one line.",
            "parameters": {
                "type": "object",
                "additionalProperties": False,
                "required": ["city"],
                "properties": {
                    "city": {"type": "string", "description": "where, as a person would say it."},
                    "days": {"type": "integer", "default": 1, "description": "how many days"},
                },
            },
        },
    }


class Unit(enum.Enum):
    CELSIUS = "C"


class Place(BaseModel):
    name: str


def test_types_become_schemas() -> None:
    def function(
        kind: Literal["a", "b"],
        unit: Unit,
        place: Place,
        count: Annotated[int, Field(ge=1)],
        names: list[str] | None = None,
    ) -> None: ...

    schema = function_to_tool("f", function).schema["function"]["parameters"]

    assert schema["properties"]["kind"] == {"type": "string", "enum": ["a", "b"]}
    assert schema["properties"]["count"] == {"type": "integer", "minimum": 1}
    assert schema["required"] == ["kind", "unit", "place", "count"]


def test_a_parameter_without_a_hint_takes_anything() -> None:
    lookup = function_to_tool("lookup", lambda anything: anything)

    assert lookup.schema["function"]["parameters"]["properties"] == {"anything": {}}
    assert lookup.call('{"anything": [1, "a"]}') == ToolResult('[1,"a"]')


def test_a_parameter_may_have_any_name() -> None:
    def function(schema: int, _hidden: int, model_config: int, /, self: int) -> int:
        return schema + _hidden + model_config + self

    arguments = '{"schema": 1, "_hidden": 2, "model_config": 3, "self": 4}'

    assert function_to_tool("f", function).call(arguments) == ToolResult("10")


def test_arguments_arrive_as_their_types() -> None:
    def function(place: Place, unit: Unit, day: date) -> str:
        return f"{place.name} {unit.name} {day.year}"

    arguments = '{"place": {"name": "Kyoto"}, "unit": "C", "day": "2026-01-02"}'

    assert function_to_tool("f", function).call(arguments) == ToolResult("Kyoto CELSIUS 2026")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("{}", "city: Field required"),
        ('{"city": "Kyoto", "days": "many"}', "days: Input should be a valid integer"),
        ('{"city": "Kyoto", "planet": "Mars"}', "planet: Extra inputs are not permitted"),
        ('{"city": "Ky', "Invalid JSON"),
        ("[]", "Input should be an object"),
    ],
)
def test_wrong_arguments_are_a_result_that_says_so(arguments: str, expected: str) -> None:
    result = function_to_tool("weather", google).call(arguments)

    assert result.is_error
    assert result.text.startswith("Invalid arguments: ")
    assert expected in result.text


def test_an_exception_is_a_result() -> None:
    def function() -> None:
        raise KeyError("Kyoto")

    assert function_to_tool("f", function).call("") == ToolResult("KeyError: 'Kyoto'", is_error=True)


def test_ctrl_c_in_a_tool_is_no_result() -> None:
    def function() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        function_to_tool("f", function).call("{}")


@dataclass
class Point:
    x: int


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("as it is", "as it is"),
        (None, "null"),
        ({"a": [1, 2.5, True]}, '{"a":[1,2.5,true]}'),
        (Point(1), '{"x":1}'),
        (Place(name="Kyoto"), '{"name":"Kyoto"}'),
        (date(2026, 1, 2), "2026-01-02"),
        ({1}, "[1]"),
        (np.int64(7), "7"),
        ("grüße", "grüße"),
    ],
)
def test_results_become_text(value: object, expected: str) -> None:
    def function() -> object:
        return value

    assert function_to_tool("f", function).call("{}") == ToolResult(expected)


def test_an_array_as_a_result_is_described() -> None:
    def function() -> object:
        return np.zeros((2, 2))

    assert function_to_tool("f", function).call("{}").text.startswith("array of shape (2, 2)")


def test_a_long_result_is_bounded() -> None:
    def function() -> str:
        return "x" * (2 * MAX_RESULT_CHARS)

    assert len(function_to_tool("f", function).call("{}").text) < MAX_RESULT_CHARS + 100


VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("VARIABLE", default="nobody's")


def test_an_async_function_runs_in_its_own_loop_and_in_the_context_of_the_caller() -> None:
    async def function(city: str) -> str:
        await asyncio.gather(asyncio.sleep(0), asyncio.sleep(0))
        return f"{city}, {VARIABLE.get()}"

    async def cell() -> ToolResult:
        VARIABLE.set("the cell's")
        return function_to_tool("f", function).call('{"city": "Kyoto"}')

    assert asyncio.run(cell()) == ToolResult("Kyoto, the cell's")


def test_an_exception_of_an_async_function_is_a_result() -> None:
    async def function() -> None:
        await asyncio.sleep(0)
        raise ValueError("no")

    assert function_to_tool("f", function).call("{}") == ToolResult("ValueError: no", is_error=True)


def test_marked_functions_and_named_ones_are_offered() -> None:
    @tool
    def marked() -> str:
        return "m"

    namespace = {"marked": marked, "again": marked, "google": google, "other": sphinx, "n": 5}

    assert list(collect_tools(namespace, ["google"])) == ["marked", "google"]
    assert marked() == "m"


def test_the_mark_may_stand_with_and_without_brackets() -> None:
    @tool()
    def plain() -> str:
        return "p"

    @tool(confirm=True)
    def confirmed() -> str:
        return "c"

    found = collect_tools(
        {"plain": plain, "confirmed": confirmed}, [], may_call=lambda _name, _arguments: False
    )

    assert plain() + confirmed() == "pc"
    assert found["plain"].call("") == ToolResult("p")
    assert found["confirmed"].call("") == ToolResult("Not called: the user said no.", is_error=True)


def test_the_mark_is_for_functions() -> None:
    with pytest.raises(MagicUsageError, match="-t NAME"):
        tool(functools.partial(google, days=2))


@pytest.mark.parametrize("name", ["nothing", "n"])
def test_what_is_no_function_is_no_tool(name: str) -> None:
    with pytest.raises(MagicUsageError, match=f"-t {name}"):
        collect_tools({"n": 5}, [name])


def test_a_type_that_no_schema_describes_is_refused_in_one_line() -> None:
    def function(frame: np.ndarray) -> None: ...

    with pytest.raises(MagicUsageError, match="f cannot be a tool") as caught:
        function_to_tool("f", function)

    assert "\n" not in str(caught.value)


def test_the_schema_is_json() -> None:
    assert json.loads(json.dumps(function_to_tool("weather", google).schema))


def named(name: str) -> Callable[[], str]:
    def function() -> str:
        return name

    function.__name__ = name
    return function


def test_a_tool_has_its_own_name_whatever_its_variable_is_called() -> None:
    found = collect_tools({"a": tool(named("b")), "b": tool(named("a"))}, [])

    assert (found["a"].call("").text, found["b"].call("").text) == ("a", "b")


def test_a_function_that_only_ipython_keeps_is_no_tool() -> None:
    old, new = tool(named("delete")), tool(named("delete"), confirm=True)
    history = dict.fromkeys(["_", "__", "___", "_2"], old)
    found = collect_tools({"delete": new, "old": old, **history}, [], may_call=lambda _name, _args: False)

    assert collect_tools(history, []) == {}
    assert found["delete"].call("") == ToolResult("Not called: the user said no.", is_error=True)


class Disk:
    @tool(confirm=True)
    def delete(self, path: str) -> str:
        return path


@pytest.mark.parametrize(
    "function", [Disk().delete, functools.partial(Disk().delete), functools.cache(Disk().delete)]
)
def test_a_method_and_what_wraps_a_function_are_confirmed_too(function: Any) -> None:
    found = collect_tools({"f": function}, ["f"], may_call=lambda _name, _arguments: False)

    assert found["f"].call('{"path": "a.txt"}') == ToolResult("Not called: the user said no.", is_error=True)


@dataclass
class Picky:
    x: int

    def __post_init__(self) -> None:
        raise KeyError(self.x)


def test_an_exception_of_a_validator_is_a_result() -> None:
    def function(picky: Picky) -> None: ...

    result = function_to_tool("f", function).call('{"picky": {"x": 1}}')

    assert result == ToolResult("Invalid arguments: KeyError: 1", is_error=True)


def leave() -> None:
    raise SystemExit(3)


async def leave_later() -> None:
    await asyncio.sleep(0)
    raise SystemExit(3)


async def leave_in_a_task() -> None:
    await asyncio.gather(leave_later(), asyncio.sleep(0.01))


@pytest.mark.parametrize("function", [leave, leave_later, leave_in_a_task])
def test_a_tool_that_exits_is_a_result(function: Any) -> None:
    assert function_to_tool("f", function).call("") == ToolResult("SystemExit: 3", is_error=True)


class SpeechlessError(Exception):
    """Cannot say what it is."""

    @override
    def __str__(self) -> str:
        raise AttributeError("reason")


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (SpeechlessError(), "SpeechlessError: its text cannot be made"),
        (asyncio.CancelledError("no"), "CancelledError: no"),
        (BaseException("no"), "BaseException: no"),
    ],
)
def test_whatever_a_tool_raises_is_a_result(error: BaseException, text: str) -> None:
    def function() -> None:
        raise error

    assert function_to_tool("f", function).call("") == ToolResult(text, is_error=True)


def test_a_parameter_may_be_described_where_it_is_declared() -> None:
    def function(
        city: Annotated[str, Field(description="a city's name")],
        unit: str = Field("c", description="of temperature"),
        days: int = Field(ge=1),
    ) -> str:
        return f"{city} {unit} {days}"

    described = function_to_tool("f", function)
    assert described.schema["function"]["parameters"] == {
        "additionalProperties": False,
        "properties": {
            "city": {"type": "string", "description": "a city's name"},
            "unit": {"type": "string", "description": "of temperature", "default": "c"},
            "days": {"type": "integer", "minimum": 1},
        },
        "required": ["city", "days"],
        "type": "object",
    }
    assert described.call('{"city": "Rome", "days": 2}') == ToolResult("Rome c 2")


@pytest.mark.parametrize("name", ["größe", "x" * 65, "<lambda>"])
def test_a_name_that_no_tool_may_have_is_said_in_one_line(name: str) -> None:
    with pytest.raises(MagicUsageError, match="1 to 64 letters"):
        function_to_tool(name, lambda: 1)


def test_marked_functions_without_a_name_of_their_own_have_their_variables() -> None:
    def wrapped() -> Any:
        def wrapper() -> int:
            return 1

        return tool(wrapper)

    alone, first, second = tool(lambda: 1), wrapped(), wrapped()
    assert marked_functions({"alone": alone}) == {"alone": alone}
    assert marked_functions({"first": first, "again": first}) == {"wrapper": first}
    assert marked_functions({"first": first, "second": second}) == {"first": first, "second": second}
    assert marked_functions({"first": first, "wrapper": second}) == {"wrapper": second}


@pytest.mark.parametrize("hint", ["a number", "np.foo", "1 / 0"])
def test_a_hint_that_is_no_type_is_said_in_one_line(hint: str) -> None:
    def function(x: Any) -> None: ...

    function.__annotations__["x"] = hint

    with pytest.raises(MagicUsageError, match="f cannot be a tool: ") as caught:
        function_to_tool("f", function)

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [b"\x89PNG", {"image": b"\x89PNG"}])
def test_bytes_that_are_no_text_are_described(value: object) -> None:
    assert function_to_tool("f", lambda: value).call("") == ToolResult(str(value))


NOTES: list[str] = []


def remember(fact: str, store: list[str] = NOTES) -> str:
    store.append(fact)
    return "kept"


def test_a_default_is_the_functions_own_and_no_copy() -> None:
    assert function_to_tool("remember", remember).call('{"fact": "x"}').text == "kept"
    assert NOTES.pop() == "x"


def crawl(count: int) -> Iterator[int]:
    for number in range(count):
        if number == 2:
            raise OSError("Gone.")
        yield number


async def crawl_later(count: int) -> AsyncIterator[int]:
    for number in crawl(count):
        await asyncio.sleep(0)
        yield number


@pytest.mark.parametrize("function", [crawl, crawl_later])
def test_a_generator_is_the_list_of_what_it_gives(function: Any) -> None:
    tool = function_to_tool("crawl", function)
    assert tool.call('{"count": 2}').text == "[0,1]"
    result = tool.call('{"count": 3}')
    assert (result.is_error, result.text) == (True, "OSError: Gone.")


def test_a_decorator_over_the_mark_keeps_it() -> None:
    @functools.cache
    @tool
    def price(item: str) -> str:
        """Return a price."""
        return f"{item}: 5"

    tools = collect_tools({"price": price}, [])
    assert tools["price"].call('{"item": "tea"}').text == "tea: 5"


def test_a_default_within_annotated_is_that_default() -> None:
    def where(city: Annotated[str, Field(default="Paris")]) -> str:
        return city

    assert function_to_tool("where", where).call("{}").text == "Paris"


class Proxy:
    """Such as Flask's request, outside of one."""

    @override
    def __getattribute__(self, name: str) -> Any:
        raise RuntimeError("Working outside of request context.")


def test_a_variable_that_raises_whatever_it_is_asked_is_no_tool() -> None:
    assert marked_functions({"request": Proxy()}) == {}
