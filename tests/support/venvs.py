"""Virtual environments of their own for programs whose packages this one must not depend on."""

import json
import subprocess
import sys
import venv
from pathlib import Path

OUT = Path(__file__).parents[1] / "external" / "out"  # git ignores it
SPEC_FILE = "requirements.json"


def venv_with(name: str, *requirements: str) -> Path:
    """Return the Python of an environment with these packages, made anew when they are others than the last time."""
    home = OUT / f"venv-{name}"
    python = home / "bin" / "python"
    spec = home / SPEC_FILE
    if not spec.is_file() or json.loads(spec.read_text()) != [*requirements]:
        venv.create(home, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *requirements], check=True)
        spec.write_text(json.dumps(requirements))
    return python


def version_of(python: Path, package: str) -> str:
    """Return the version of a package of an environment."""
    code = f"from importlib.metadata import version; print(version({package!r}))"
    done = subprocess.run([python, "-c", code], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def say(text: str) -> None:
    """Tell whoever started a runner."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
