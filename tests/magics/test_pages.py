import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_mlx_gpt_oss.magics import pages
from jupyter_mlx_gpt_oss.magics.markdown import markdown_to_html
from jupyter_mlx_gpt_oss.magics.pages import MAX_PAGE_CHARS, PAGE_CHARS, Pages

SENTENCE = "It was a dark and stormy night, and the kernel was busy.\n"
PARAGRAPH = SENTENCE * 4 + "\n"


def pages_of(*texts: str) -> list[str]:
    """The pages that are on the screen after each of `texts` was shown; the last text is the whole."""
    shown: list[str] = []
    paged = Pages()
    for text in texts:
        for number, page in paged.update(text):
            shown[number:] = [page]
    return shown


def growing(text: str, step: int) -> list[str]:
    return [text[:end] for end in range(0, len(text), step)] + [text]


def test_a_short_text_is_one_page() -> None:
    assert pages_of(*growing("Hello *there*.\n\nAda", 1)) == ["Hello *there*.\n\nAda"]


def test_a_long_text_is_cut_between_paragraphs_and_nothing_is_lost() -> None:
    text = PARAGRAPH * 60

    found = pages_of(text)

    assert "".join(found) == text
    assert len(found) >= 3
    assert all(page.endswith("\n\n") for page in found)
    assert max(map(len, found)) <= PAGE_CHARS


def test_a_page_that_another_follows_is_not_touched_again() -> None:
    text = PARAGRAPH * 40
    paged = Pages()
    numbers = [number for piece in growing(text, 50) for number, _ in paged.update(piece)]

    assert numbers == sorted(numbers)


def test_a_list_is_not_cut_inside_an_item() -> None:
    text = "".join(f"{number}. A step:\n\n   with a second paragraph\n\n" for number in range(300))

    assert all(re.match(r"\d+\.", page) for page in pages_of(text))


def test_a_code_block_is_whole_on_its_page_unless_it_is_very_long() -> None:
    code = "```python\n" + "x = 1\n\ny = 2\n" * 500 + "```\n"
    text = PARAGRAPH * 10 + code + "\n" + PARAGRAPH * 10

    assert len(code) < MAX_PAGE_CHARS
    assert any(code in page for page in pages_of(text))


@pytest.mark.parametrize("fence", ["```python", "~~~~", "`````"])
def test_a_very_long_code_block_goes_on_on_the_next_page(fence: str) -> None:
    marks = fence.rstrip("python")
    lines = [f"line({number})\n" for number in range(6000)]
    found = pages_of(f"{fence}\n{''.join(lines)}{marks}\nAnd so on.")

    assert len(found) >= 3
    assert all(page.startswith(f"{fence}\n") for page in found)
    assert all(page.endswith(f"\n{marks}\n") for page in found[:-1])
    code = [line for page in found for line in page.splitlines(keepends=True) if line.startswith("line(")]
    assert code == lines
    assert "<p>And so on.</p>" in markdown_to_html(found[-1])


def test_a_very_long_table_keeps_its_head() -> None:
    head = "| city | degrees |\n|------|--------:|\n"
    found = pages_of(head + "".join(f"| Kyoto | {number} |\n" for number in range(2000)))

    assert len(found) >= 2
    assert all(page.startswith(head) for page in found)
    assert sum(page.count("Kyoto") for page in found) == 2000


def test_a_line_without_an_end_is_cut_all_the_same() -> None:
    found = pages_of("x" * (3 * MAX_PAGE_CHARS))

    assert "".join(found) == "x" * (3 * MAX_PAGE_CHARS)
    assert max(map(len, found)) == MAX_PAGE_CHARS


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.sampled_from(["a", " ", "\n", "\n\n", "```", "```py\n", "~~~", "| a ", "|--|\n", "- b\n", "    "]),
        max_size=200,
    ).map("".join),
    st.integers(min_value=1, max_value=50),
)
def test_the_cuts_do_not_depend_on_how_the_text_came(text: str, step: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pages, "PAGE_CHARS", 40)
        patch.setattr(pages, "MAX_PAGE_CHARS", 80)
        patch.setattr(pages, "_MAX_OPENING_CHARS", 20)
        assert pages_of(*growing(text, step)) == pages_of(text)
