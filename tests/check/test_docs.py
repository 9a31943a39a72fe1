"""docs/check.md has a row for every check, and says the numbers that the code has."""

import re
from pathlib import Path

from jupyter_mlx_gpt_oss.check.command import CheckCommand
from jupyter_mlx_gpt_oss.check.likeness import TOLERANCES
from jupyter_mlx_gpt_oss.check.runner import CHECKS, LOAD, REFERENCES

DOCS = (Path(__file__).parents[2] / "docs" / "check.md").read_text(encoding="utf-8")


def test_every_check_has_its_row() -> None:
    table = DOCS.partition("## The checks\n")[2].partition("\n## ")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == [LOAD, REFERENCES, *CHECKS]


def test_every_option_is_documented() -> None:
    for option in ("model", "report", "context-length"):
        assert option in CheckCommand.aliases
        assert f"`--{option} " in DOCS
    assert f"`{CheckCommand.report.default_value}`" in DOCS


def test_the_tolerances_are_those_of_the_code() -> None:
    assert (TOLERANCES["cpu"].near_tie, TOLERANCES["cpu"].drift) == (0.05, 0.001)
    assert (TOLERANCES["gpu"].near_tie, TOLERANCES["gpu"].drift) == (0.25, 0.5)
    for number in ("0.05 apart", "within 0.001", "0.25 apart", "more than 0.5"):
        assert number in DOCS
