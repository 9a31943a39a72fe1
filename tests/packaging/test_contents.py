"""The sdist and the wheel hold what they should, and nothing else."""

import zipfile
from pathlib import Path

import pytest

from tests.packaging.conftest import ROOT, build

PACKAGE = "jupyter_mlx_gpt_oss"
WEIGHTS = f"{PACKAGE}/demo/tiny_gptoss.safetensors"
# Beside the package: what hatchling reads to build the wheel, and what a reader of the archive looks for.
BUILDS_THE_WHEEL = {"pyproject.toml", "README.md", "LICENSE", ".gitignore"}
FOR_READERS = {"CHANGELOG.md"}
MAX_WEIGHTS_BYTES = 3_000_000
MAX_WHEEL_BYTES = 5_000_000  # the weights, 1.2 MB of vocabulary, and code


@pytest.fixture(scope="session")
def expected_files(files_of_git: frozenset[str]) -> set[str]:
    """What both hold of the checkout: the package and its shared data."""
    return {name for name in files_of_git if name.startswith((f"{PACKAGE}/", "jupyter-config/"))}


def names_in(folder: Path) -> set[str]:
    return {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}


def test_the_sdist_holds_what_builds_the_wheel_and_nothing_that_git_ignores(
    unpacked_sdist: Path, expected_files: set[str]
) -> None:
    assert names_in(unpacked_sdist) == expected_files | BUILDS_THE_WHEEL | FOR_READERS | {"PKG-INFO"}


def test_the_sdist_builds_the_wheel_that_the_checkout_builds(wheel: Path, tmp_path: Path) -> None:
    of_checkout = build("wheel", ROOT, tmp_path)
    assert of_checkout.name == wheel.name
    assert of_checkout.read_bytes() == wheel.read_bytes()


def test_the_wheel_holds_the_package_its_shared_data_and_its_licence(
    wheel: Path, expected_files: set[str]
) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    name_and_version = "-".join(wheel.name.split("-")[:2])
    info, shared = f"{name_and_version}.dist-info", f"{name_and_version}.data/data/etc/jupyter"
    about = {"METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE"}
    of_checkout = {name.replace("jupyter-config", shared, 1) for name in expected_files}
    assert names == of_checkout | {f"{info}/{name}" for name in about}


def test_the_wheel_holds_no_tests_no_training_no_notebooks_and_nothing_compiled(wheel: Path) -> None:
    """Says the same as the list, of what a folder of the package might come to hold."""
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            parts = set(Path(name).parts)
            assert not parts & {"tests", "training", "notebooks", "docs", "benchmarks", "__pycache__"}, name
            assert not name.endswith((".pyc", ".so", ".ipynb", ".pkl", ".pt", ".bin")), name


def test_the_wheel_and_its_model_are_small(wheel: Path) -> None:
    assert wheel.stat().st_size < MAX_WHEEL_BYTES
    with zipfile.ZipFile(wheel) as archive:
        assert archive.getinfo(WEIGHTS).file_size < MAX_WEIGHTS_BYTES
