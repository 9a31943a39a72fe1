"""An engine that answers from a book: for a server in a process of its own, whose cells ask what a test has foreseen.

The book is `answers.json` in the folder in which the server runs. It says, for each message of a user, what the model
plays, round after round: text with its control tokens written out, and gates, at which it waits for the test.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass, field
from pathlib import Path

from typing_extensions import override

from jupyter_mlx_gpt_oss.engine.request import GenerationRequest, Progress, TokenOutput
from jupyter_mlx_gpt_oss.harmony.encoding import decode
from tests.support.scripted_engine import ScriptedEngine, Step

ENGINE = "--GptOss.engine_class=tests.support.answer_book.AnswerBookEngine"
_FILE = Path("answers.json")
_USER = "<|start|>user<|message|>"
_END = "<|end|>"

_POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Gate:
    """Where the model waits: until the test opens it, or for ever."""

    file: str

    def open(self, folder: Path) -> None:
        """Let the model go on that a server plays which runs in `folder`."""
        (folder / self.file).touch()


Rounds = Sequence[Sequence[str | Gate]]


@dataclass(frozen=True, slots=True)
class AnswerBook:
    """What the model says to whom, and how fast. A message that is not in it is answered with `Hello.`"""

    tokens_per_second: float
    answers: Mapping[str, Rounds] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        """Put the book where a server that runs in `folder` finds it."""
        (folder / _FILE).write_text(json.dumps(asdict(self)), encoding="utf-8")


class AnswerBookEngine(ScriptedEngine):
    """Looks up the last message of the user, and in its answer the round that follows the tools' results."""

    @override
    def script_for(self, request: GenerationRequest) -> tuple[Step, ...]:
        book = _read_book()
        _, _, after = decode(list(request.prompt_token_ids)).rpartition(_USER)
        message, _, rest = after.partition(_END)
        rounds = book.answers.get(message, [[final("Hello.")]])
        steps = rounds[rest.count(" to=assistant")]
        return tuple(step if isinstance(step, str) else _opened(step) for step in steps)

    @override
    async def generate(self, request: GenerationRequest) -> AsyncGenerator[Progress | TokenOutput, None]:
        seconds = 1 / _read_book().tokens_per_second
        async with aclosing(super().generate(request)) as items:
            due = asyncio.get_running_loop().time()
            async for item in items:
                due += seconds
                await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()))
                yield item


def _opened(gate: Gate) -> asyncio.Event:
    """Return the event of the gate's opening, which happens in another process."""
    event = asyncio.Event()

    def look() -> None:
        if Path(gate.file).exists():
            event.set()
        else:
            asyncio.get_running_loop().call_later(_POLL_SECONDS, look)

    look()
    return event


def _read_book() -> AnswerBook:
    book = json.loads(_FILE.read_text(encoding="utf-8"))
    answers = {
        message: [list(map(_step, steps)) for steps in rounds] for message, rounds in book["answers"].items()
    }
    return AnswerBook(book["tokens_per_second"], answers)


def _step(stored: str | dict[str, str]) -> str | Gate:
    return stored if isinstance(stored, str) else Gate(**stored)


def thought(text: str) -> str:
    """The model thinks, and goes on."""
    return f"<|channel|>analysis<|message|>{text}<|end|><|start|>assistant"


def final(text: str) -> str:
    """The model answers, and is done."""
    return f"<|channel|>final<|message|>{text}<|return|>"


def call(function: str, /, **arguments: object) -> str:
    """The model calls a function, and waits for what it gives back."""
    header = f"<|channel|>commentary to=functions.{function} <|constrain|>json<|message|>"
    return f"{header}{json.dumps(arguments, ensure_ascii=False)}<|call|>"


def python(code: str) -> str:
    """The model runs code, and waits for what it puts out."""
    return f"<|channel|>analysis to=python code<|message|>{code}<|call|>"
