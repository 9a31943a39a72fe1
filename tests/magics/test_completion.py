import pytest
from IPython.core.completer import provisionalcompleter

from tests.magics.conftest import Notebook
from tests.support.canned_server import CannedServer, answer


def completions(notebook: Notebook, text: str) -> set[str]:
    """What the shell offers with the cursor at the end of `text`."""
    completer = notebook.Completer
    completer.use_jedi = False
    with provisionalcompleter():
        return {completion.text for completion in completer.completions(text, len(text))}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("%%oss --max", {"--max-tokens", "--max-turns"}),
        ("%%oss -s x --to", {"--tool", "--top-p"}),
        ("%%oss -e ", {"low", "medium", "high", "none"}),
        ("%%oss --effort m", {"medium"}),
        ("%%oss -t get_", {"get_weather"}),
        ("%%oss --chat tr", {"trip"}),
        ("%%oss -o num", {"number"}),
        ("%%oss --python a", {"ask", "auto"}),
        ("%%oss --schema ", {"Person", "wanted"}),
        ("%oss re", {"reset"}),
        ("%oss un", {"unload"}),
        ("%oss history ", {"trip"}),
        ("%%oss\nI have {num", {"number"}),
    ],
)
def test_completions(notebook: Notebook, server: CannedServer, text: str, expected: set[str]) -> None:
    server.play(answer("Hi"))
    notebook.run("%%oss -c trip\nHi")
    person = type("Person", (), {})
    notebook.user_ns.update(number=5, get_weather=lambda city: city, Person=person, wanted={"type": "object"})

    assert completions(notebook, text) == expected
