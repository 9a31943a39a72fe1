import json
import re

import pytest

from jupyter_mlx_gpt_oss.magics.json_table import MAX_CELL_CHARS, MAX_ROWS, json_to_table


def cells(html: str | None) -> list[list[str]]:
    """The texts of a table, row by row."""
    assert html is not None
    return [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in re.findall("<tr.*?</tr>", html)]


def test_an_object_has_a_row_for_each_name() -> None:
    assert cells(json_to_table('{"city": "Kyoto", "degrees": 21, "sun": true}')) == [
        ["city", "Kyoto"],
        ["degrees", "21"],
        ["sun", "true"],
    ]


def test_a_list_of_objects_has_a_row_for_each_object() -> None:
    assert cells(json_to_table('[{"city": "Kyoto", "at": [1, 2]}, {"city": "Nara", "sun": null}]')) == [
        ["city", "at", "sun"],
        ["Kyoto", "[1, 2]", ""],
        ["Nara", "", "null"],
    ]


@pytest.mark.parametrize(
    "text", ["sunny", "21", "[]", "{}", "[1, 2]", '"a"', "[{}]", '{"a": ', '[{"a": 1}, 2]']
)
def test_what_is_no_table_stays_text(text: str) -> None:
    assert json_to_table(text) is None


def test_too_many_columns_are_no_table() -> None:
    assert json_to_table(json.dumps([{f"column {number}": number for number in range(50)}])) is None


@pytest.mark.parametrize(
    "value", [[{"n": number} for number in range(1000)], {f"n{number}": number for number in range(1000)}]
)
def test_of_many_rows_the_first_are_shown(value: object) -> None:
    rows = cells(json_to_table(json.dumps(value)))

    assert rows[-1] == ["… 1,000 rows in all"]
    assert len(rows) <= MAX_ROWS + 2


def test_a_long_text_is_cut() -> None:
    [[_, text]] = cells(json_to_table(json.dumps({"text": "x" * 5000})))

    assert text == "x" * MAX_CELL_CHARS + "… (5000 characters in all)"


def test_texts_are_escaped() -> None:
    assert cells(json_to_table('{"<b>": "$x$ <script>"}')) == [
        ["&lt;b&gt;", "<span>$</span>x<span>$</span> &lt;script&gt;"]
    ]


def test_a_column_is_as_wide_as_its_words_and_only_what_is_longer_than_a_line_breaks() -> None:
    html = json_to_table(json.dumps({"name": "Kyoto", "key": "x" * 200})) or ""

    breaks = re.findall(r"overflow-wrap:([a-z-]+)", html)
    assert breaks == ["break-word", "break-word", "break-word", "anywhere"]
