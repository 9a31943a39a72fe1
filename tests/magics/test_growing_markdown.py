"""Markdown that is still being written looks like its beginning, at each character."""

import re
from html import unescape

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_mlx_gpt_oss.magics.growing_markdown import MAX_WAITING_CHARS, presentable
from jupyter_mlx_gpt_oss.magics.markdown import markdown_to_html
from tests.magics.test_markdown import assert_harmless
from tests.support.attacks import ATTACKS
from tests.support.notebook_scenes import BALL_ANSWER

ANSWER = r"""Here is **what I know**, with `code`, *care* and \(x_1 < 2\):

- **First** point
- [ ] a task, and [a link](https://mlx.io/x)
  1. inner
     ```python
     print("a | b", x[1])
     ```

| a | b |
|---|--:|
| 1 | **2** |
| `c` | 4 * 5 |

Steps:
1. one
2. two

A title
-------

$$
a - b
$$

> quoted

```bash
# a comment | with a pipe
echo "**no bold**" \[ no math \]
```

~~Gone~~, and **[bold](https://mlx.io)** \[ x^2 \] for $5. **The end.**
"""


def words_of(markdown: str) -> str:
    """What a page shows of a text, without its spaces."""
    return re.sub(r"\s", "", unescape(re.sub("<[^>]*>", "", markdown_to_html(markdown))))


@pytest.mark.parametrize("text", [BALL_ANSWER, ANSWER], ids=["a ball", "everything"])
def test_at_each_character_the_beginning_of_the_whole_is_shown(text: str) -> None:
    whole = words_of(text)
    for length in range(len(text)):
        assert whole.startswith(words_of(presentable(text[:length]))), text[:length]


def test_little_waits() -> None:
    for length in range(len(ANSWER)):
        assert length - len(presentable(ANSWER[:length])) < 45, ANSWER[:length]


@pytest.mark.parametrize(
    ("growing", "shown"),
    [
        ("| a | b |", ""),
        ("So:\n\n| a | b |\n|---|--", "So:\n\n"),
        ("| a | b |\n|---|---|\n", "| a | b |\n|---|---|\n"),
        ("| a | b |\n|---|---|\n|", "| a | b |\n|---|---|\n"),
        ("| a | b |\n|---|---|\n| 1 ", "| a | b |\n|---|---|\n"),
        ("| a | b |\n|---|---|\n| 1 | 2", "| a | b |\n|---|---|\n| 1 |"),
        ("| a | b |\n|---|---|\n| 1 | 2 |", "| a | b |\n|---|---|\n| 1 | 2 |"),
        ("So **bold", "So **bold**"),
        ("So **bold ", "So **bold** "),
        ("So **bold*", "So **bold**"),
        ("So **", "So "),
        ("So **a *b", "So **a *b***"),
        ("a `b", "a `b`"),
        ("a ``b`", "a ``b``"),
        (r"a \(x_1 + \alpha", "a "),
        ("\\[\n\\frac{a}{b}", ""),
        ("so $x_1", "so "),
        ("It costs $5", "It costs $5"),
        ("see [the docs](https://ml", "see "),
        ("```pyth", ""),
        ("```python\nx = 1\n``", "```python\nx = 1\n"),
        ("```python\nx = 2 ** 3", "```python\nx = 2 ** 3"),
        ("Items:\n-", "Items:\n"),
        ("Items:\n- **", "Items:\n"),
        ("# ", ""),
        ("1", ""),
        ("2 * 3 is 6", "2 * 3 is 6"),
        ("snake_case_ and *args", "snake_case_ and *args*"),
    ],
)
def test_what_is_half_written_waits_or_is_closed(growing: str, shown: str) -> None:
    assert presentable(growing) == shown


@pytest.mark.parametrize("opening", [r"a \( b", r"\[ b", "$$ b", "a $b", "a [b", "x" * 5000 + r"\("])
def test_nothing_waits_for_ever(opening: str) -> None:
    assert presentable(opening + " c" * MAX_WAITING_CHARS).startswith(opening)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from([*"<>\"'`$\\()[]!#*_|~:\n -/&;x1", "```", "**", *ATTACKS]), max_size=40))
def test_no_mixture_of_attacks_passes_while_it_grows(pieces: list[str]) -> None:
    assert_harmless(markdown_to_html(presentable("".join(pieces))))


@pytest.mark.parametrize("text", ["", "Hello *there*.\n\nAda", BALL_ANSWER, ANSWER])
def test_a_text_that_is_whole_is_shown_whole(text: str) -> None:
    assert words_of(presentable(text)) == words_of(text)
