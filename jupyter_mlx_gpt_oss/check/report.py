"""What was found to a report that can be attached to an issue: versions, device, model, figures.

Nothing private: no path, no user's or host's name, no prompt, no answer. A model is named only where its name is one
that everybody has.
"""

import json
import platform
import re
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from jupyter_mlx_gpt_oss.check.device import Device
from jupyter_mlx_gpt_oss.check.result import CheckResult
from jupyter_mlx_gpt_oss.engine.base import ModelInfo

_FORMAT = 1
_PACKAGES = ("jupyter-mlx-gpt-oss", "mlx", "mlx-lm", "jupyter-server", "huggingface-hub", "numpy")
_PUBLIC = re.compile(r"demo|(mlx-community|openai|lmstudio-community)/[\w.-]+")
_NOT_NAMED = "another checkpoint"  # a directory's name, or a person's own repository


def build_report(
    device: Device, model: ModelInfo | None, bytes_per_token: int | None, results: Sequence[CheckResult]
) -> dict[str, Any]:
    """Return the report; `model` is None where it could not be loaded."""
    return {
        "format": _FORMAT,
        "versions": {"python": platform.python_version(), **_versions()},
        "device": asdict(device),
        "model": None if model is None else {**_model(model), "bytes_per_token": bytes_per_token},
        "checks": [asdict(result) for result in results],
    }


def write_report(report: dict[str, Any], file: Path) -> None:
    """Write a report as JSON.

    Raises:
        OSError: the file cannot be written.
    """
    file.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def public_name(model: str) -> str:
    """Return a model's name where it is nobody's own, else that it has another."""
    return model if _PUBLIC.fullmatch(model) else _NOT_NAMED


def _model(model: ModelInfo) -> dict[str, Any]:
    return {**asdict(model), "name": public_name(model.name)}


def _versions() -> dict[str, str | None]:
    versions: dict[str, str | None] = {}
    for package in _PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = None
    return versions
