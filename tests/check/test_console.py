"""Lines of a terminal, and of a file."""

import io

from typing_extensions import override

from jupyter_mlx_gpt_oss.check.console import Console
from jupyter_mlx_gpt_oss.check.result import CheckResult, Status

RESULT = CheckResult(name="decode", status=Status.PASS, sentence="Fast.")


class Terminal(io.StringIO):
    @override
    def isatty(self) -> bool:
        return True


def run_on(stream: io.StringIO) -> str:
    console = Console(stream)
    console.begin("decode")
    console.say("one stream, 3 of 96 tokens")
    console.end(RESULT)
    return stream.getvalue()


def test_a_file_gets_one_line_a_check() -> None:
    assert run_on(io.StringIO()) == "pass decode        Fast. (0.0 s)\n"


def test_a_terminal_shows_what_a_check_does_until_it_ends() -> None:
    shown = run_on(Terminal())
    assert "one stream, 3 of 96 tokens" in shown
    assert shown.endswith("\r\x1b[Kpass decode        Fast. (0.0 s)\n")
    assert shown.count("\n") == 1


def test_a_live_line_changes_no_faster_than_it_can_be_read() -> None:
    stream = Terminal()
    console = Console(stream)
    for number in range(1000):
        console.say(f"{number} of 1000 tokens")
    assert stream.getvalue().count("tokens") < 500


def test_a_live_line_fits_into_the_terminal() -> None:
    stream = Terminal()
    Console(stream).say("x" * 1000)
    assert len(stream.getvalue()) < 200
