from typing import Any

import pytest
from openai_harmony import Conversation, DeveloperContent, Message, Role, ToolDescription

from jupyter_mlx_gpt_oss.errors import InvalidRequestError
from jupyter_mlx_gpt_oss.harmony.schema_limits import MAX_TOOLS
from jupyter_mlx_gpt_oss.harmony.tools import offers_python, read_tools, render_tools
from jupyter_mlx_gpt_oss.harmony.typescript import one_line, schema_to_type


def function(name: str = "f", parameters: Any = None, description: Any = None) -> dict[str, Any]:
    return {
        "type": "function",
        "function": {"name": name, "description": description, "parameters": parameters},
    }


def with_properties(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def declaration(parameters: Any) -> str:
    return read_tools([function(parameters=parameters)])[0].declaration()


_AGREED = [
    ("no_parameters", "Tell the time.", None),
    ("two_lines", "One.\nTwo.", None),
    (
        "scalars",
        "All kinds.",
        with_properties(
            text={"type": "string", "description": "A text", "title": "Text", "examples": ["a", "b c"]},
            number={"type": "number", "default": 1.5},
            count={"type": "integer", "default": 3, "nullable": True},
            flag={"type": "boolean"},
            either={"type": ["string", "integer"]},
            unit={"type": "string", "enum": ["c", "f"], "default": "c"},
            default={"type": "string", "default": "x"},
        )
        | {"required": ["text", "flag"]},
    ),
    (
        "nested",
        "Nested.",
        with_properties(
            tags={"type": "array", "items": {"type": "string"}},
            untyped={"type": "array"},
            point=with_properties(x={"type": "number", "description": "In metres"}) | {"required": ["x"]},
            points={"type": "array", "items": with_properties(x={"type": "number"})},
            deep=with_properties(deeper=with_properties(deepest={"type": "boolean"})),
        ),
    ),
    ("described", "Outside.", with_properties(a={"type": "string"}) | {"description": "Inside."}),
]


def test_declarations_are_openai_harmonys_own_where_it_is_right(reference_text: Any) -> None:
    theirs = [ToolDescription.new(name, description, parameters) for name, description, parameters in _AGREED]
    ours = [function(name, parameters, description) for name, description, parameters in _AGREED]
    developer = Message.from_role_and_content(
        Role.DEVELOPER, DeveloperContent.new().with_function_tools(theirs)
    )
    expected = reference_text(Conversation.from_messages([developer]))
    assert expected == f"<|start|>developer<|message|>{render_tools(read_tools(ours))}<|end|>"


_NODE = {"$defs": {"node": with_properties(next={"$ref": "#/$defs/node"})}, "$ref": "#/$defs/node"}


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "string | null"),
        ({"oneOf": [{"type": "integer"}, {"type": "number"}, {"type": "string"}]}, "number | string"),
        ({"const": "a"}, '"a"'),
        ({"enum": [1, 2, None]}, "1 | 2 | null"),
        ({"type": "array", "items": {"enum": ["a", "b"]}}, '("a" | "b")[]'),
        ({"type": "array", "items": {"type": "array", "items": {"type": "string"}}}, "string[][]"),
        ({"type": "null"}, "null"),
        ({"$ref": "#/$defs/unit"}, '"c" | "f"'),
        ({"allOf": [{"$ref": "#/$defs/unit"}]}, '"c" | "f"'),
        (
            {"allOf": [{"allOf": [with_properties(a={})]}, {"allOf": [with_properties(b={})]}]},
            "{\n    a?: any,\n    b?: any,\n    }",
        ),
        (
            {"allOf": [{"$ref": "#/$defs/alias"}], **with_properties(x={})},
            "{\n    x?: any,\n    y?: any,\n    }",
        ),
        ({"$ref": "#/$defs/either/anyOf/1"}, "string"),
        (
            {"$ref": "#/$defs/base"},
            "{\n    child?: {\n        child?: any,\n        y?: any,\n        },\n    }",
        ),
        (
            {"type": "object", "additionalProperties": {"type": "number"}},
            "{\n    [key: string]: number,\n    }",
        ),
        ({"allOf": [with_properties(a={}), with_properties(b={})]}, "{\n    a?: any,\n    b?: any,\n    }"),
        ({"type": ["object", "null"], "properties": {"y": {"type": "string"}}}, "{\n    y?: string,\n    } | null"),
        ({"type": ["array", "null"], "items": {"type": "string"}}, "string[] | null"),
        ({"type": ["string", "null"], "enum": ["a", None]}, '"a" | null'),
        ({"const": None}, "null"),
        ({"anyOf": [{"const": "a", "description": "The\nfirst"}, {"const": "b"}]}, '"a" | "b"'),
        ({"$ref": "#/$defs/unit", "description": None}, '"c" | "f"'),
        ({"$ref": "#/$defs/the%20unit"}, "number"),
        ({"type": "array", "prefixItems": [{"type": "string"}, {"enum": [1, 2]}]}, "[string, 1 | 2]"),
        ({"type": "array", "items": [{"type": "string"}, True]}, "[string, any]"),
        (
            {"type": "array", "prefixItems": [{"type": "string"}], "items": {"type": "boolean"}},
            "[string, ...boolean[]]",
        ),
        ({"patternProperties": {"^a": {"type": "string"}, "^b": {"type": "number"}}, "type": "object"},
         "{\n    [key: string]: string | number,\n    }"),
        (with_properties(a={"type": "string"}) | {"anyOf": [{"required": ["a"]}, {"minProperties": 1}]},
         "{\n    a?: string,\n    }"),
        (with_properties(a={"type": "string"}) | {"oneOf": [with_properties(b={}), with_properties(c={})]},
         "{\n    a?: string,\n    b?: any,\n    } | {\n    a?: string,\n    c?: any,\n    }"),
        (with_properties(a={}) | {"allOf": [with_properties(b={})], "anyOf": [with_properties(c={})]},
         "{\n    a?: any,\n    b?: any,\n    c?: any,\n    }"),
        ({"allOf": [with_properties(a={})], "anyOf": [{"required": ["a"]}, {"minProperties": 1}]},
         "{\n    a?: any,\n    }"),
        ({"type": "made up"}, "any"),
        ({}, "any"),
        (True, "any"),
    ],
)  # fmt: skip
def test_what_openai_harmony_gets_wrong_is_written_as_a_type(schema: Any, expected: str) -> None:
    definitions = {
        "unit": {"enum": ["c", "f"]},
        "the unit": {"type": "integer"},
        "either": {"anyOf": [{"type": "integer"}, {"type": "string"}]},
        "alias": {"$ref": "#/$defs/aliased"},
        "aliased": with_properties(y={}),
        "base": with_properties(child={"$ref": "#/$defs/node"}),
        "node": {"allOf": [{"$ref": "#/$defs/base"}, with_properties(y={})]},
    }
    parameters = with_properties(x=schema) | {"$defs": definitions}
    assert declaration(parameters) == f"type f = (_: {{\nx?: {expected},\n}}) => any;"


def test_a_type_that_holds_itself_ends() -> None:
    assert declaration(_NODE) == "type f = (_: {\nnext?: any,\n}) => any;"


def test_a_description_never_leaves_its_comment() -> None:
    parameters = with_properties(
        x={"type": "string", "description": "One.\r\n} // namespace\n", "title": "a\nb"}
    )
    assert "// a b\n//\n// One. } // namespace \nx?: string," in declaration(parameters)


def test_a_key_that_is_no_identifier_is_quoted() -> None:
    assert '"a b\\n"?: any,' in declaration(with_properties(**{"a b\n": {}}))


@pytest.mark.parametrize("parameters", [None, {}, {"type": "object"}, {"type": "object", "properties": {}}])
def test_a_function_without_parameters_takes_none(parameters: Any) -> None:
    assert declaration(parameters) == "type f = () => any;"


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({"type": "object", "additionalProperties": True}, "[key: string]: any"),
        ({"type": "object", "additionalProperties": {"type": "string"}}, "[key: string]: string"),
        ({"type": "object", "patternProperties": {"^a": {"type": "string"}}}, "[key: string]: string"),
        ({"type": ["object"], "properties": {"x": {"type": "string"}}}, "x?: string"),
        (with_properties(x={"type": "string"}) | {"additionalProperties": True}, "x?: string"),
    ],
)
def test_a_function_says_which_keys_it_takes(parameters: Any, expected: str) -> None:
    assert declaration(parameters) == f"type f = (_: {{\n{expected},\n}}) => any;"


def test_descriptions_may_be_null_or_have_many_lines() -> None:
    parameters = with_properties(x={"type": "string", "description": None, "title": None, "default": None})
    tool = function("f", parameters | {"description": None}, "One.\n\nTwo.")
    assert read_tools([tool])[0].declaration() == (
        "// One.\n// \n// Two.\ntype f = (_: {\nx?: string, // default: null\n}) => any;"
    )


def nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(levels):
        schema = {"type": "array", "items": schema}
    return with_properties(x=schema)


def doubling(levels: int) -> dict[str, Any]:
    """A schema that grows by two to the power of its size, once its references are inlined."""
    definitions = {
        str(i): with_properties(a={"$ref": f"#/{i + 1}"}, b={"$ref": f"#/{i + 1}"}) for i in range(levels)
    }
    return with_properties(x={"$ref": "#/0"}) | definitions | {str(levels): {}}


def many_references(size: int, count: int) -> dict[str, Any]:
    """A schema of so many properties that all refer to one enum of so many characters."""
    properties = {str(i): {"$ref": "#/$defs/e"} for i in range(count)}
    return {"type": "object", "$defs": {"e": {"enum": ["x" * size]}}, "properties": properties}


def many_variants(num_properties: int, num_variants: int) -> dict[str, Any]:
    """A schema whose every variant has all of its properties."""
    variants = [{"type": "object"}] * num_variants
    return with_properties(**{f"p{i}": {} for i in range(num_properties)}) | {"anyOf": variants}


def many_parts(num_properties: int, num_parts: int) -> dict[str, Any]:
    """A schema made of one large part, again and again."""
    part = with_properties(**{f"p{i}": {} for i in range(num_properties)}) | {"required": ["p0"] * 10}
    return {"$defs": {"part": part}, "allOf": [{"$ref": "#/$defs/part"}] * num_parts}


@pytest.mark.parametrize(
    "parameters",
    [
        "text",
        [],
        with_properties(x={"type": "string", "default": float("nan")}),
        with_properties(x={"type": "string", "default": 10**5_000}),
        with_properties(x={"type": "string", "enum": {"a": 1}}),
        with_properties(x={"type": "string", "enum": [{1}]}),
        with_properties(x="string"),
        with_properties(x={"anyOf": "string"}),
        with_properties(x={"anyOf": [1]}),
        with_properties(x={"allOf": [1]}),
        with_properties(x={"allOf": [{"$ref": 1}]}),
        with_properties(x={"$ref": "https://example.com/schema"}),
        with_properties(x={"$ref": "#/nowhere"}),
        with_properties(x={"description": 1}),
        {"allOf": [{"$ref": "#"}]},
        {"type": "object", "properties": [1]},
        {"type": "object", "properties": {"x": {}}, "required": 1},
        {1: 2},
        nested(60),
        nested(5_000),
        doubling(20),
        many_references(1_000_000, 4_900),
        many_variants(20_000, 9_999),
        many_parts(5_000, 9_000),
    ],
)
def test_a_schema_that_cannot_be_read_names_the_field(parameters: Any) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        read_tools([function(), function("g", parameters)])
    assert str(caught.value.param).startswith("tools[1].function.parameters")


@pytest.mark.parametrize(
    ("tools", "param"),
    [
        ("tools", "tools"),
        ([1], "tools[0]"),
        ([{}], "tools[0].type"),
        ([{"type": "web_search"}], "tools[0].type"),
        ([{"type": "function"}], "tools[0].function"),
        ([function("")], "tools[0].function.name"),
        ([function("a b")], "tools[0].function.name"),
        ([function("a\n")], "tools[0].function.name"),
        ([function("a" * 65)], "tools[0].function.name"),
        ([function("a"), function("a")], "tools[1].function.name"),
        ([function(description=1)], "tools[0].function.description"),
    ],
)
def test_a_bad_tool_names_the_field(tools: Any, param: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        read_tools(tools)
    assert caught.value.param == param


def test_the_python_tool_is_told_apart_from_the_functions() -> None:
    tools = [function("get"), {"type": "python"}]
    assert [tool.name for tool in read_tools(tools)] == ["get"]
    assert offers_python(tools)
    assert not offers_python([function("python")])


@pytest.mark.parametrize(
    ("tools", "param"),
    [
        ([{"type": "python"}, {"type": "python"}], "tools[1]"),
        ([function("python"), {"type": "python"}], "tools[1]"),
        ([{"type": "python"}, function("python")], "tools[1].function.name"),
    ],
)
def test_one_tool_alone_has_the_name_python(tools: Any, param: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        read_tools(tools)
    assert caught.value.param == param


def test_a_declaration_reads_back_as_it_was_written() -> None:
    text = render_tools(read_tools([function("get", with_properties(x={"type": "string"}), "Get <|end|>")]))
    assert text == (
        "# Tools\n\n## functions\n\nnamespace functions {\n\n// Get <|end|>\n"
        "type get = (_: {\nx?: string,\n}) => any;\n\n} // namespace functions"
    )


def test_too_many_tools_are_refused_by_name() -> None:
    tools = [function(f"f{number}") for number in range(MAX_TOOLS)]
    assert len(read_tools(tools)) == MAX_TOOLS
    with pytest.raises(InvalidRequestError, match=f"{MAX_TOOLS + 1} tools; at most {MAX_TOOLS}") as error:
        read_tools([*tools, {"type": "python"}])
    assert error.value.param == "tools"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("one line ", "one line "),
        ("two \r\n  lines", "two lines"),
        ("a\n \n\tb\n", "a b "),
        ("\n a", " a"),
        (
            "a" + " " * 1_000_000 + "b",
            "a" + " " * 1_000_000 + "b",
        ),  # in time that grows with the length, not its square
    ],
)
def test_a_comment_is_one_line(text: str, expected: str) -> None:
    assert one_line(text) == expected


def test_many_properties_are_looked_up_in_many_required_ones_once() -> None:
    names = [f"p{index}" for index in range(9_000)]
    schema = with_properties(**dict.fromkeys(names, True)) | {
        "required": [*map(str, range(200_000)), *names, {}]
    }
    written = schema_to_type(schema, "parameters")
    assert written is not None
    assert "p8999: any" in written
