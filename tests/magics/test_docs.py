"""docs/magics.md names every flag, word and option, and no other."""

import re
from pathlib import Path

from jupyter_mlx_gpt_oss.magics.arguments import FLAGS
from jupyter_mlx_gpt_oss.magics.completion import WORDS
from jupyter_mlx_gpt_oss.magics.magics import GptOssMagics

DOCS = (Path(__file__).parents[2] / "docs" / "magics.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    """The first column of the table under a heading."""
    text = DOCS.partition(f"## {title}\n")[2].partition("\n## ")[0]
    return "\n".join(re.findall(r"^\| (.*?) \|", text, re.MULTILINE))


def test_every_flag_is_documented() -> None:
    documented = re.findall(r"`(--?[a-z-]+)`", section("Flags of `%%oss`"))

    assert documented == [name for flag in FLAGS for name in flag.names]


def test_every_word_is_documented() -> None:
    assert re.findall(r"`%oss (\w+)", section("Words of `%oss`")) == list(WORDS)


def test_every_word_is_in_the_help() -> None:
    assert re.findall(r"^ *%oss.*?(?<=%oss )(\w+)", GptOssMagics.command.__doc__ or "", re.MULTILINE) == list(
        WORDS
    )


def test_every_option_is_documented() -> None:
    documented = re.findall(r"`GptOssMagics\.(\w+)`", section("Options"))

    assert set(documented) == set(GptOssMagics.class_own_traits(config=True))
