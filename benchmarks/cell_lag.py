"""How far a cell in a browser lags behind the model: a scripted engine writes, JupyterLab shows, one clock measures.

    python -m benchmarks.cell_lag [--tokens 4000] [--rate 200]

For each kind of text the last token carries a mark. Measured are the seconds from the moment at which the engine gave
that token to the moment at which the browser had painted it, how often the output changed meanwhile, and the longest
time between two frames of the page. Needs what the tests need: a Chromium, and playwright.
"""

import argparse
import tempfile
import time
from collections.abc import AsyncGenerator
from contextlib import ExitStack, aclosing
from pathlib import Path

import pytest
from playwright.sync_api import Page
from typing_extensions import override

from jupyter_mlx_gpt_oss.engine.request import GenerationRequest, Progress, TokenOutput
from tests.support.answer_book import AnswerBook, AnswerBookEngine
from tests.support.jupyter_process import jupyter_process
from tests.support.notebook_page import LOAD, ROOT, NotebookPage, lab_arguments, open_browser

MARK = "∎"
ENDED = Path("ended-at")
SENTENCE = "It was a dark and stormy night, and the **kernel** was busy with `numbers` again. "
CODE = "def f_{n}(values: list[float]) -> float:\n    # the mean\n    return sum(values) / len(values)\n\n"
WATCH = """mark => {
    window.shownAt = 0; window.changes = 0; window.longestFrame = 0;
    let last = performance.now();
    const frame = now => { window.longestFrame = Math.max(window.longestFrame, now - last); last = now;
                           requestAnimationFrame(frame); };
    requestAnimationFrame(frame);
    const cell = document.querySelectorAll(".jp-CodeCell")[1];
    new MutationObserver(() => {
        window.changes += 1;
        // The reasoning may have closed itself by now: innerText would leave it out.
        if (!window.shownAt && cell.querySelector(".jp-OutputArea").textContent.includes(mark))
            requestAnimationFrame(() => setTimeout(() => { window.shownAt = Date.now() / 1000; }));
    }).observe(cell, {childList: true, subtree: true, characterData: true});
}"""


class TimedEngine(AnswerBookEngine):
    """Writes down when it gave its last token but one, which carries the mark; the last one only ends the turn."""

    @override
    async def generate(self, request: GenerationRequest) -> AsyncGenerator[Progress | TokenOutput, None]:
        before = given = time.time()
        async with aclosing(super().generate(request)) as items:
            async for item in items:
                before, given = given, time.time()
                yield item
        ENDED.write_text(str(before), encoding="utf-8")  # noqa: ASYNC240  the answer is over


def texts(num_tokens: int) -> dict[str, str]:
    """One text of each kind, of about so many tokens."""
    from jupyter_mlx_gpt_oss.harmony.encoding import encode  # noqa: PLC0415  it takes a second

    def repeated(piece: str, head: str = "", tail: str = "") -> str:
        count = num_tokens // len(encode(piece.replace("{n}", "10")))
        return head + "".join(piece.replace("{n}", str(n)) for n in range(count)) + tail + MARK

    return {
        "paragraphs": f"<|channel|>final<|message|>{repeated(SENTENCE * 4 + chr(10) * 2)}<|return|>",
        "one paragraph": f"<|channel|>final<|message|>{repeated(SENTENCE)}<|return|>",
        "code": f"<|channel|>final<|message|>{repeated(CODE, '```python' + chr(10), '```' + chr(10))}<|return|>",
        "table": f"<|channel|>final<|message|>{repeated('| {n} | Kyoto | 21 |' + chr(10), '| n | city | degrees |' + chr(10) + '|--|--|--|' + chr(10), chr(10))}<|return|>",
        "reasoning": f"<|channel|>analysis<|message|>{repeated(SENTENCE)}<|end|>",
    }


def measure(page: Page, notebook: NotebookPage, kind: str) -> str:
    """Run one cell, and say in a line how far it lagged."""
    notebook.create([LOAD, f"%%oss\n{kind}"])
    notebook.run(0)
    notebook.wait_until_done(0)
    page.evaluate(WATCH, MARK)
    notebook.run(1)
    notebook.wait_until_done(1)
    page.wait_for_function("window.shownAt > 0")
    ended = float((notebook.server.home / ENDED).read_text(encoding="utf-8"))
    lag, changes, frame = page.evaluate(
        "end => [window.shownAt - end, window.changes, window.longestFrame]", ended
    )
    closing = notebook.output(1).locator(".jp-OutputArea-child").last.inner_text()
    return f"{kind:<14} lag {lag:6.3f} s   {changes:4d} changes   longest frame {frame:5.0f} ms   {closing}"


def main() -> None:
    """Measure each kind of text."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, default=4000)
    parser.add_argument("--rate", type=float, default=200.0, help="tokens a second")
    options = parser.parse_args()
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        stack.enter_context(pytest.MonkeyPatch.context()).setenv("PYTHONPATH", str(ROOT))
        answers = {kind: [[text]] for kind, text in texts(options.tokens).items()}
        AnswerBook(options.rate, answers).write(home)
        engine = ["--GptOss.engine_class=benchmarks.cell_lag.TimedEngine", "--GptOss.model=scripted"]
        server = stack.enter_context(jupyter_process(home, *lab_arguments(home), *engine))
        page = stack.enter_context(open_browser()).new_page(viewport={"width": 1000, "height": 900})
        page.set_default_timeout(300_000)
        for kind in answers:
            print(measure(page, NotebookPage(page, server), kind), flush=True)


if __name__ == "__main__":
    main()
