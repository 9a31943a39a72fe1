import json
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jupyter_mlx_gpt_oss.harmony.arguments import ArgumentText

_OBJECT = '{"a": [1, {"b": "}\\"{"}]}'

_CASES = {
    _OBJECT: _OBJECT,
    f" \n{_OBJECT}\n ": _OBJECT,
    _OBJECT + "]": _OBJECT,
    _OBJECT + '{"c": 2}': _OBJECT,
    f"[{_OBJECT}]": _OBJECT,
    f" [ {_OBJECT}, {{}} ] ": _OBJECT,
    f"```json\n{_OBJECT}\n```": _OBJECT,
    f"```{_OBJECT}```": _OBJECT,
    f"```json {_OBJECT}": _OBJECT,
    f"```\n[{_OBJECT}]\n```\n": _OBJECT,
    "ls -R\n": "ls -R",
    "```\nls -R\n```\n": "ls -R",
    "```python\nprint(1)\n```": "print(1)",
    "```ls -R```": "```ls -R```",
    "": "",
    "  \n": "",
    "{}": "{}",
    "{'a': 1} ": "{'a': 1}",
    "{ echo hi; } && ls\n": "{ echo hi; } && ls",
    '{"a": 1': '{"a": 1',
    '{"a"]': '{"a"]',
    "[1, 2]": "[1, 2]",
    "[{a}, 2]": "[{a}, 2]",
    '[{"a": 1': '[{"a": 1',
    "[": "[",
    "``": "``",
    "null": "null",
    '"text"': '"text"',
    "[" + " " * 100 + "{}]": "[" + " " * 100 + "{}]",
    '{"deep": ' + "[" * 5_000 + "]" * 5_000 + "} x": '{"deep": ' + "[" * 5_000 + "]" * 5_000 + "} x",
}


def clean(text: str, size: int, *, truncated: bool = False) -> str:
    arguments = ArgumentText()
    pieces = [arguments.feed(text[start : start + size]) for start in range(0, len(text), size)]
    return "".join(pieces) + arguments.close(truncated=truncated)


@pytest.mark.parametrize(("text", "expected"), _CASES.items())
@pytest.mark.parametrize("size", [1, 3, 100_000])
def test_arguments_are_cleaned_however_they_are_cut(text: str, expected: str, size: int) -> None:
    assert clean(text, size) == expected


@pytest.mark.parametrize("text", ['{"a": "b ', "ls \n", '[{"a": ', '```json\n{"a": 1} '])
def test_truncated_arguments_are_kept_to_the_last_character(text: str) -> None:
    assert clean(text, 1, truncated=True) in {text, '{"a": 1}'}


def test_an_object_is_let_through_as_it_comes() -> None:
    arguments = ArgumentText()
    assert [arguments.feed(piece) for piece in ["{", '"a":', " ", '"b', '"}', "x"]] == [
        "{",
        '"a":',
        "",
        ' "b',
        '"}',
        "",
    ]


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    st.dictionaries(st.text(), st.one_of(st.text(), st.integers(), st.lists(st.text()))), st.integers(1, 9)
)
def test_any_object_comes_out_verbatim(value: dict[str, object], size: int) -> None:
    for indent, ensure_ascii in product([None, 2], [True, False]):
        text = json.dumps(value, indent=indent, ensure_ascii=ensure_ascii)
        for surrounded in (text, f" {text}]", f"[{text}]", f"```json\n{text}\n```"):
            assert clean(surrounded, size) == text


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.text(alphabet='{}[]"\\` \nja1:,'), st.integers(1, 9))
def test_how_the_text_is_cut_does_not_matter(text: str, size: int) -> None:
    assert clean(text, size) == clean(text, 1)
