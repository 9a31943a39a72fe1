from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from typing_extensions import override

from jupyter_mlx_gpt_oss.errors import MagicUsageError
from jupyter_mlx_gpt_oss.magics.variables import MAX_DESCRIPTION_CHARS, describe, expand_variables

NAMESPACE: dict[str, Any] = {
    "name": "Ada",
    "n": 3,
    "rows": ["a", "b"],
    "table": {"key": "value", "deep": {"er": [1, 2]}, "a b": 5},
    "point": SimpleNamespace(x=1, at=[SimpleNamespace(y=2)]),
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I am {name}.", "I am Ada."),
        ("{name}{n}", "Ada3"),
        ("你好{name}!", "你好Ada!"),
        ("f({n})", "f(3)"),
        ("costs ${n}", "costs $3"),
        ("{rows[0]} {rows[-1]}", "a b"),
        ("{rows}", "['a', 'b']"),
        ('{table["key"]}', "value"),
        ("{table['a b']}", "5"),
        ('{table["deep"]["er"][1]}', "2"),
        ("{point.x} {point.at[0].y}", "1 2"),
    ],
)
def test_variables_are_put_in(text: str, expected: str) -> None:
    assert expand_variables(text, NAMESPACE) == expected


@pytest.mark.parametrize(
    "text",
    [
        "{unknown}",
        "{name.nothing}",
        "{rows[9]}",
        '{table["none"]}',
        "{n[0]}",
        "{ name }",
        "{name!r}",
        "{n:03}",
        "{n + 1}",
        "{print()}",
        "{len(rows)}",
        "{rows[n]}",
        '{"name": 1}',
        "{}",
        "{{name}}",
        "{{ name }}",
        r"\frac{1}{2}",
        "{__import__}",
        "a } b { c",
        "f'{'",
    ],
)
def test_other_braces_stay_as_they_are(text: str) -> None:
    assert expand_variables(text, NAMESPACE) == text


@pytest.mark.parametrize(
    "text",
    [
        r"\sqrt{x}",
        r"\frac{a}{b}",
        r"$x_{i} + e^{t}$",
        r"\sqrt[3]{x}",
        r"\int_{a}^{b} f",
        r"\begin{name}",
        r"\{x}",
        "code{x}",
        "}{x}",
    ],
)
def test_a_brace_that_belongs_to_what_stands_before_it_is_no_variable(text: str) -> None:
    namespace = dict.fromkeys(["x", "a", "b", "i", "t", "name"], "wrong")

    assert expand_variables(text, namespace) == text


def test_braces_around_a_variable_are_no_obstacle() -> None:
    assert expand_variables('{"who": "{name}"}', NAMESPACE) == '{"who": "Ada"}'


def test_what_a_variable_holds_is_not_expanded_again() -> None:
    assert expand_variables("{a}", {"a": "{b}", "b": "no"}) == "{b}"


def test_a_text_is_given_whole() -> None:
    text = "x" * (2 * MAX_DESCRIPTION_CHARS)

    assert describe(text) == text


def test_a_long_value_is_bounded_and_says_how_long_it_is() -> None:
    description = describe(list(range(10_000)))

    assert len(description) < MAX_DESCRIPTION_CHARS + 100
    assert description.endswith("characters in all)")


def test_an_array_is_described() -> None:
    description = describe(np.arange(12.0).reshape(3, 4))

    assert description.startswith("array of shape (3, 4) (float64), from 0.0 to 11.0, mean 5.5:\n[[")
    assert len(describe(np.zeros((1000, 1000)))) < 1000
    assert describe(np.array([])).startswith("array of shape (0,)")


def test_a_data_frame_is_described() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"city": ["Kyoto"] * 400, "degrees": range(400)})

    description = describe(frame)

    assert description.startswith("DataFrame of 400 rows and 2 columns (city: ")
    assert "degrees: int64). The first 10:" in description
    assert description.count("Kyoto") == 10
    assert describe(frame["degrees"]).startswith("Series 'degrees' of 400 values (int64). The first 10:")
    months = describe(frame.head(12))
    assert "The first" not in months
    assert months.count("Kyoto") == 12
    assert describe(frame["degrees"].head(12)).endswith("11    11")


def test_what_is_not_given_whole_is_told() -> None:
    numpy, pandas = pytest.importorskip("numpy"), pytest.importorskip("pandas")
    variables = {
        "text": "x" * 9000,
        "names": ["y" * 9000],
        "long": pandas.DataFrame({"degrees": range(1000)}),
        "wide": pandas.DataFrame({f"c{number}": [1] for number in range(30)}),
        "fat": pandas.DataFrame({"text": ["z" * 45] * 1000, "more": ["z" * 500] * 1000}),
        "array": numpy.zeros(5000),
        "small": numpy.zeros(50),
    }
    cuts: list[str] = []

    expand_variables("{text} {names} {names} {long} {wide} {fat} {array} {small}", variables, cuts)

    assert cuts[:3] == [
        "{names}: the model is given 4,000 of 9,004 characters",
        "{long}: the model is given 10 of 1,000 rows",
        "{wide}: the model is given 20 of 30 columns",
    ]
    assert cuts[3].endswith(" characters of 10 of 1,000 rows")
    assert cuts[4:] == ["{array}: the model is given a few of 5,000 values"]


class Broken:
    @property
    def size(self) -> int:
        raise RuntimeError("no size")

    @override
    def __str__(self) -> str:
        raise LookupError("no text")


@pytest.mark.parametrize(
    ("text", "fault"),
    [("{it.size}", r"^\{it\.size\}: RuntimeError: no size\."), ("{it}", r"^\{it\}: LookupError: no text\.")],
)
def test_a_variable_that_cannot_be_described_is_said_in_one_line(text: str, fault: str) -> None:
    with pytest.raises(MagicUsageError, match=fault):
        expand_variables(text, {"it": Broken()})
