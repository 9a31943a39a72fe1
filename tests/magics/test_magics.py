"""A real shell, the real client and a real HTTP server: what a cell shows and keeps."""

import subprocess
import sys
from pathlib import Path

import pytest

from jupyter_mlx_gpt_oss import Answer
from tests.magics.conftest import Notebook
from tests.support.canned_server import (
    CannedServer,
    answer,
    progress,
)


def test_an_answer_appears_as_html_and_as_text(notebook: Notebook, server: CannedServer) -> None:
    server.play(answer("Hello **Ada**", "A greeting."))

    assert notebook.run("%%oss\nMy name is Ada.") is None

    assert "<strong>Ada</strong>" in notebook.outputs.html
    assert "<details style" in notebook.outputs.html
    assert "Hello **Ada**" in notebook.outputs.text
    assert "12 tokens" in notebook.outputs.text
    assert len(notebook.outputs.bundles) == 3


def test_the_value_is_in_underscore_and_in_the_named_variable(
    notebook: Notebook, server: CannedServer
) -> None:
    server.play(answer("Hello Ada", "A greeting."))

    notebook.run("%%oss -o reply\nMy name is Ada.")

    reply = notebook.user_ns["reply"]
    assert isinstance(reply, Answer)
    assert notebook.user_ns["_"] is notebook.user_ns["Out"][notebook.execution_count - 1] is reply
    assert (str(reply), reply.reasoning, reply.finish_reason) == ("Hello Ada", "A greeting.", "stop")
    assert reply.usage is not None
    assert reply.usage.completion_tokens == 12
    assert repr(reply) == "Answer('Hello Ada', finish_reason='stop', 12 tokens)"
    assert [message["role"] for message in reply.messages] == ["user", "assistant"]
    assert reply.conversation.messages == list(reply.messages)
    assert len(reply.conversation.turns) == 1


def test_the_value_does_not_print_itself_twice(
    notebook: Notebook, server: CannedServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.play(answer("Hello Ada"))

    notebook.run("%%oss\nMy name is Ada.")

    assert capsys.readouterr().out == ""
    assert notebook.outputs.text.count("Hello Ada") == 1


def test_flags_become_fields_of_the_request(notebook: Notebook, server: CannedServer) -> None:
    server.play(answer("Hi"))

    notebook.run(
        '%%oss -e low --max-tokens 50 --temperature 0 --top-p 0.9 --seed 7 -s "Be brief, {please}"\nHi\n\nthere\n'
    )

    (request,) = server.requests
    assert request["messages"] == [
        {"role": "system", "content": "Be brief, {please}"},
        {"role": "user", "content": "Hi\n\nthere"},
    ]
    del request["messages"], request["stream"], request["stream_options"]
    assert request == {
        "model": "canned",
        "reasoning_effort": "low",
        "max_tokens": 50,
        "temperature": 0.0,
        "top_p": 0.9,
        "seed": 7,
    }


def test_variables_are_put_in_unless_raw(notebook: Notebook, server: CannedServer) -> None:
    notebook.user_ns["who"] = "Ada"
    server.play(answer("Hi"), answer("Hi"))

    notebook.run('%%oss\nI am {who}. {"json": {nothing}}')
    notebook.run("%%oss --raw --new\nI am {who}.")

    sent = [request["messages"][-1]["content"] for request in server.requests]
    assert sent == ['I am Ada. {"json": {nothing}}', "I am {who}."]


def test_names_of_ipython_are_no_variables(notebook: Notebook, server: CannedServer) -> None:
    server.play(answer("Hi"), answer("Hi"))

    notebook.run("%%oss\n{open} {exit} {In}")
    notebook.run("%%oss\n{_}")

    assert server.requests[0]["messages"][-1]["content"] == "{open} {exit} {In}"
    assert server.requests[1]["messages"][-1]["content"] == "Hi"


def test_cells_continue_one_conversation(notebook: Notebook, server: CannedServer) -> None:
    server.play(answer("Hello Ada", "Greet."), answer("Ada"), answer("Hi"), answer("Who?"))

    notebook.run("%%oss\nMy name is Ada.", "a")
    notebook.run("%%oss\nWhat is my name?", "b")
    notebook.run("%%oss -c other\nHi", "c")
    notebook.run("%%oss --new\nWhat is my name?", "d")

    assert server.requests[1]["messages"] == [
        {"role": "user", "content": "My name is Ada."},
        {"role": "assistant", "content": "Hello Ada", "reasoning": "Greet."},
        {"role": "user", "content": "What is my name?"},
    ]
    assert len(server.requests[2]["messages"]) == 1
    assert len(server.requests[3]["messages"]) == 1


def test_a_cell_run_again_replaces_its_turn_and_what_followed(
    notebook: Notebook, server: CannedServer
) -> None:
    server.play(*[answer(word) for word in ("one", "two", "three", "two again", "one again")])

    notebook.run("%%oss\nA", "a")
    notebook.run("%%oss\nB", "b")
    notebook.run("%%oss\nC", "c")
    notebook.run("%%oss\nB, but better", "b")
    notebook.run("%%oss\nA", "a")

    said = [[message["content"] for message in request["messages"]] for request in server.requests]
    assert said[3] == ["A", "one", "B, but better"]
    assert said[4] == ["A"]
    assert len(notebook.user_ns["_"].messages) == 2


def test_a_cell_that_goes_over_to_another_chat_leaves_no_turn_behind(
    notebook: Notebook, server: CannedServer
) -> None:
    server.play(answer("one"), answer("two"), answer("three"))

    notebook.run("%%oss\nA", "a")
    notebook.run("%%oss -c other\nA", "a")
    notebook.run("%%oss\nB", "b")

    assert [message["content"] for message in server.requests[2]["messages"]] == ["B"]


def test_a_cell_without_an_id_is_known_by_its_text(notebook: Notebook, server: CannedServer) -> None:
    server.play(answer("one"), answer("two"))

    notebook.run("%%oss\nA")
    notebook.run("%%oss\nA")

    assert len(server.requests[1]["messages"]) == 1


def test_progress_is_shown_and_disappears(notebook: Notebook, server: CannedServer) -> None:
    server.play([progress(stage="queued", done=1, total=1), progress(stage="loading"), *answer("Hi")])

    notebook.run("%%oss\nHi")

    assert "queue" not in notebook.outputs.text
    assert "loading" not in notebook.outputs.text
    assert len(notebook.outputs.bundles) == 2
    assert notebook.outputs.num_messages > 3


def test_the_demo_says_once_that_it_is_one(notebook: Notebook, server: CannedServer) -> None:
    server.card["demo"] = True
    server.play(answer("one"), answer("two"))

    notebook.run("%%oss\nA")
    assert "%oss model mlx-community/gpt-oss-20b-MXFP4-Q8" in notebook.outputs.html
    notebook.outputs.clear()
    notebook.run("%%oss\nB")
    assert "demo" not in notebook.outputs.html


def test_hidden_reasoning_is_in_the_value_alone(notebook: Notebook, server: CannedServer) -> None:
    server.play(answer("Hi", "Secret."))

    notebook.run("%%oss --hide-reasoning\nHi")

    assert "Secret" not in notebook.outputs.html
    assert notebook.user_ns["_"].reasoning == "Secret."


def test_the_namespace_holds_nothing_that_was_not_said(notebook: Notebook, server: CannedServer) -> None:
    server.play(answer("Hi"))
    before = {name for name in notebook.user_ns if not name.startswith("_")}

    notebook.run("%%oss -o reply\nHi")

    assert {name for name in notebook.user_ns if not name.startswith("_")} == before | {"reply"}


def test_the_help_names_every_flag(notebook: Notebook, capsys: pytest.CaptureFixture[str]) -> None:
    notebook.run("%%oss?")

    shown = capsys.readouterr().out
    for name in ("%%oss", "--effort", "--tool", "--new", "--chat", "--system", "--output", "--max-turns"):
        assert name in shown


def test_unloading_leaves_nothing(notebook: Notebook) -> None:
    num_matchers = len(notebook.Completer.custom_matchers)

    notebook.run_line_magic("unload_ext", "jupyter_mlx_gpt_oss")

    assert "oss" not in notebook.magics_manager.magics["cell"]
    assert "oss" not in notebook.magics_manager.magics["line"]
    assert len(notebook.Completer.custom_matchers) == num_matchers - 1
    notebook.run_line_magic("load_ext", "jupyter_mlx_gpt_oss")


LOAD = """
import sys
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
shell.run_line_magic("load_ext", "jupyter_mlx_gpt_oss")
from jupyter_mlx_gpt_oss import Answer, Conversation, tool
heavy = {"mlx", "mlx_lm", "openai_harmony", "jupyter_server", "tornado", "pydantic", "openai"}
print(sorted(heavy & set(sys.modules)))
"""


def test_loading_the_extension_loads_nothing_heavy(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-c", LOAD],
        capture_output=True,
        text=True,
        check=True,
        env={"IPYTHONDIR": str(tmp_path), "PATH": ""},
    )

    assert result.stdout.strip() == "[]"


def test_variables_stand_in_the_system_prompt_too(notebook: Notebook, server: CannedServer) -> None:
    notebook.user_ns["company"] = "ACME"
    server.play(answer("Hello."), answer("Hello."))

    notebook.run('%%oss -s "For {company}, {please}"\nHi')
    notebook.run('%%oss --new --raw -s "For {company}"\nHi')

    assert [request["messages"][0]["content"] for request in server.requests] == [
        "For ACME, {please}",
        "For {company}",
    ]


def test_an_answer_is_given_whole_and_what_is_cut_is_told(notebook: Notebook, server: CannedServer) -> None:
    report = "word " * 2000
    notebook.user_ns["reviews"] = ["good"] * 2000
    server.play(answer(report), answer("Done."))

    notebook.run("%%oss -o draft\nWrite.")
    notebook.run("%%oss --new\nTranslate: {draft} {reviews}")

    message = server.requests[1]["messages"][-1]["content"]
    assert message.startswith(f"Translate: {report}")
    assert "{reviews}: the model is given 4,000 of 16,000 characters" in notebook.outputs.text
    assert "{draft}" not in notebook.outputs.text


def test_a_front_end_that_updates_nothing_is_written_to(
    notebook: Notebook, server: CannedServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.play(answer("Hello there, friend.", "Let me see."))

    notebook.run("%config GptOssMagics.plain = True")
    notebook.run("%%oss\nHi")

    assert "Hello there, friend." in capsys.readouterr().out
    assert notebook.outputs.text == ""
