"""What README says is there."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_link_and_picture_of_readme_and_docs_leads_somewhere() -> None:
    for page in (
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        *(ROOT / "docs").glob("*.md"),
        ROOT / "training/README.md",
    ):
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_two_commands_are_one_line_each() -> None:
    commands = re.findall(r"^python3 -m venv .*$", README, re.MULTILINE)
    assert len(commands) == 2
    assert "01_quickstart.ipynb" in commands[0]
    assert commands[1].endswith("-m pytest")


def test_every_room_is_on_the_map() -> None:
    rooms = [
        path.name for path in (ROOT / "jupyter_mlx_gpt_oss").iterdir() if (path / "__init__.py").is_file()
    ]
    architecture = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    for room in rooms:
        assert f"{room}/" in README, room
        assert f"`{room}/`" in architecture, room
