"""A real installation: pip puts the wheel into an empty environment, Jupyter finds the extension, pip takes it all away.

The dependencies are not installed, which would take minutes and a network: they are lent by the environment that runs the tests.
"""

import os
import re
import subprocess
import sys
import sysconfig
import venv
from dataclasses import dataclass
from pathlib import Path

import pytest

PACKAGE = "jupyter_mlx_gpt_oss"


@dataclass(frozen=True, slots=True)
class Environment:
    """A virtual environment without any package, and without a pip of its own."""

    home: Path

    @property
    def _lent(self) -> Path:
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        return self.home / "lib" / version / "site-packages" / "lent.pth"

    @property
    def files(self) -> set[str]:
        """All of its files, those of its dependencies not counted."""
        return {str(file.relative_to(self.home)) for file in self.home.rglob("*") if file.is_file()}

    def pip(self, *arguments: str) -> None:
        """Have this environment's pip work on that environment, offline."""
        done = self._run(sys.executable, "-m", "pip", "--python", str(self.home), "--quiet", *arguments)
        assert done.returncode == 0, done.stderr

    def with_dependencies(self, program: str, *arguments: str) -> str:
        """Run one of its programs with the packages of the environment that runs the tests behind its own."""
        paths = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
        self._lent.write_text("\n".join(sorted(paths)), encoding="utf-8")
        try:
            done = self._run(str(self.home / "bin" / program), *arguments)
        finally:
            self._lent.unlink()
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    def _run(self, *command: str) -> "subprocess.CompletedProcess[str]":
        names = ("PATH", "LANG", "SYSTEMROOT", "TMPDIR")
        environment = {name: os.environ[name] for name in names if name in os.environ}
        environment |= {"HOME": str(self.home.parent / "person"), "PIP_NO_INDEX": "1"}
        environment["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
        return subprocess.run(
            command, cwd=self.home.parent, env=environment, capture_output=True, text=True, check=False
        )


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    venv.create(tmp_path / "environment", symlinks=True, with_pip=False)
    (tmp_path / "person").mkdir()
    return Environment(tmp_path / "environment")


def test_pip_installs_the_wheel_jupyter_finds_it_and_pip_leaves_nothing_of_it(
    environment: Environment, wheel: Path
) -> None:
    before = environment.files
    environment.pip("install", "--no-deps", str(wheel))
    installed = environment.files - before
    assert f"etc/jupyter/jupyter_server_config.d/{PACKAGE}.json" in installed
    assert "bin/jupyter-mlx-gpt-oss" in installed

    program = f"import {PACKAGE}; print({PACKAGE}.__file__)"
    assert str(environment.home) in environment.with_dependencies("python", "-c", program)
    listed = environment.with_dependencies("python", "-m", "jupyter_server", "extension", "list")
    version = wheel.name.split("-")[1]
    plain = re.sub(r"\x1b\[\d+m", "", listed)
    assert re.search(rf"{PACKAGE} enabled\n.*Validating.*\n\s+{PACKAGE} {re.escape(version)} OK\n", plain), (
        plain
    )
    assert environment.with_dependencies("jupyter-mlx-gpt-oss", "--version").split() == [version]

    environment.pip("uninstall", "--yes", PACKAGE)
    assert environment.files == before
    assert list(environment.home.rglob(f"*{PACKAGE}*")) == []  # not even an empty folder
    assert list((environment.home.parent / "person").rglob("*api_key")) == []  # no run, no key
