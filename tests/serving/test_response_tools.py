"""Tools of a response as those of chat completions."""

from jupyter_mlx_gpt_oss.serving.response_tools import (
    chat_response_format,
    chat_tool_choice,
    chat_tools,
    name_within,
)


def test_tools_and_formats_become_those_of_chat_completions() -> None:
    tool = {"type": "function", "name": "look", "parameters": {}, "strict": True}
    served = chat_tools([{"type": "web_search"}, tool])
    assert served.tools == [
        {"type": "function", "function": {"name": "look", "parameters": {}, "strict": True}}
    ]
    assert served.others == ["web_search"]
    about = "tools[0].parameters: wrong, as tool_choice.tools[0] is, and tools[7]"
    assert served.in_own_places(about) == about.replace("tools[0].p", "tools[1].p")
    named = {"type": "function", "function": {"name": "look"}}
    assert chat_tool_choice({"type": "function", "name": "look"}) == named
    allowed = {
        "type": "allowed_tools",
        "mode": "required",
        "tools": [{"type": "function", "name": "look"}, {"type": "web_search"}, {"type": "python"}],
    }
    assert chat_tool_choice(allowed) == {
        "type": "allowed_tools",
        "allowed_tools": {"mode": "required", "tools": [named, {"type": "python"}]},
    }
    within = {"type": "function", "name": "look", "namespace": "mcp__docs"}
    assert chat_tool_choice(within) == {"type": "function", "function": {"name": "mcp__docs__look"}}
    assert chat_tool_choice({"type": "python"}) == {"type": "python"}
    assert (chat_tool_choice(None), chat_tool_choice("")) == ("auto", "")
    schema = {"type": "json_schema", "name": "sky", "schema": {}, "strict": True}
    assert chat_response_format(schema) == {
        "type": "json_schema",
        "json_schema": {"name": "sky", "schema": {}, "strict": True},
    }


def test_a_function_of_a_namespace_has_a_name_that_a_model_can_call() -> None:
    assert name_within("mcp__docs", "search") == name_within("mcp__docs__", "search") == "mcp__docs__search"
    assert name_within("a.b/c", "look") == "a_b_c__look"
    long, other = name_within("n" * 60, "search"), name_within("n" * 60, "seek")
    assert long != other
    assert len(long) == len(other) == 64
