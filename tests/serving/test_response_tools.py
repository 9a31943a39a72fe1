"""Tools of a response as those of chat completions."""

from jupyter_mlx_gpt_oss.serving.response_tools import chat_response_format, chat_tool_choice, chat_tools


def test_tools_and_formats_become_those_of_chat_completions() -> None:
    tool = {"type": "function", "name": "look", "parameters": {}, "strict": True}
    served, others = chat_tools([tool, {"type": "web_search"}])
    assert served == [{"type": "function", "function": {"name": "look", "parameters": {}, "strict": True}}]
    assert others == ["web_search"]
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
    assert chat_tool_choice({"type": "python"}) == {"type": "python"}
    assert (chat_tool_choice(None), chat_tool_choice("")) == ("auto", "")
    schema = {"type": "json_schema", "name": "sky", "schema": {}, "strict": True}
    assert chat_response_format(schema) == {
        "type": "json_schema",
        "json_schema": {"name": "sky", "schema": {}, "strict": True},
    }
