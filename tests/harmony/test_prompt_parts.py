"""Parts of a prompt to its ids, and prompts that are too long to be read to their end."""

from collections.abc import Iterator

import pytest

from jupyter_mlx_gpt_oss.errors import ContextLengthError, RequestTooLargeError
from jupyter_mlx_gpt_oss.harmony import prompt_parts, render_prompt
from jupyter_mlx_gpt_oss.harmony.encoding import END, START, encode, encode_pieces
from jupyter_mlx_gpt_oss.harmony.prompt_parts import NO_LIMITS, Part, PromptLimits, encode_sections

LONG = "The quick brown fox. " * 5000


def test_texts_and_tokens_become_ids_section_by_section() -> None:
    sections: list[list[Part]] = [[START, "assistant", END], [], ["a", "b"]]
    assert encode_sections(sections, NO_LIMITS, param="x") == [
        [START, *encode("assistant"), END],
        [],
        [*encode("a"), *encode("b")],
    ]


@pytest.mark.parametrize("text", ["é" * 10, "\ud800" + "a" * 17])
def test_bytes_are_counted_over_all_texts(text: str) -> None:
    sections: list[list[Part]] = [[text], [START, "a"]]
    encode_sections(sections, PromptLimits(max_bytes=21), param="x")
    with pytest.raises(RequestTooLargeError, match="21 bytes; at most 20") as error:
        encode_sections(sections, PromptLimits(max_bytes=20), param="x")
    assert error.value.param == "x"


def test_a_prompt_that_fits_is_whole() -> None:
    (whole,) = encode_sections([["Hello there"]], NO_LIMITS, param="x")
    limits = PromptLimits(max_tokens=len(whole))
    assert encode_sections([["Hello there"]], limits, param="x") == [whole]


def test_what_does_not_fit_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []

    def noted(text: str) -> Iterator[tuple[int, list[int]]]:
        for num_chars, token_ids in encode_pieces(text):
            read.append(num_chars)
            yield num_chars, token_ids

    monkeypatch.setattr(prompt_parts, "encode_pieces", noted)
    with pytest.raises(ContextLengthError) as error:
        encode_sections([[START, LONG], [LONG]], PromptLimits(max_tokens=1000), param="prompt")
    assert sum(read) < len(LONG)
    true_count = 2 * len(encode(LONG)) + 1
    assert error.value.num_prompt_tokens == pytest.approx(true_count, rel=0.05)
    assert (error.value.max_context_tokens, error.value.param) == (1000, "prompt")
    assert "about" in error.value.message
    assert "1000 tokens" in error.value.message


@pytest.mark.parametrize(("sections", "count"), [([["a", "b"]], 2), ([[1], ["a"]], 2)])
def test_what_was_read_to_its_end_is_counted(sections: list[list[Part]], count: int) -> None:
    with pytest.raises(ContextLengthError) as error:
        encode_sections(sections, PromptLimits(max_tokens=1), param="x")
    assert error.value.num_prompt_tokens == count


def test_a_whole_prompt_is_held_to_its_limits() -> None:
    messages = [{"role": "user", "content": LONG}]
    with pytest.raises(ContextLengthError) as context:
        render_prompt(messages, limits=PromptLimits(max_tokens=500))
    assert context.value.param == "messages"
    with pytest.raises(RequestTooLargeError) as size:
        render_prompt(messages, limits=PromptLimits(max_bytes=len(LONG)))
    assert size.value.param == "messages"
    render_prompt(messages, limits=PromptLimits(max_bytes=len(LONG) + 1000, max_tokens=100_000))
