"""The files of the kernel's control groups to the memory that they leave a process.

A container may have far less memory than its machine, and whoever takes more is killed. Linux alone has such files.
Source: Linux, Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst.
"""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

_V2 = ("memory.max", "memory.current", "")
_V1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_")


def free_bytes(root: Path = Path("/")) -> int | None:
    """Return how many bytes may still be taken; None where nothing is limited.

    Args:
        root: holds `proc` and `sys`.
    """
    found = [_left(group, names) for group, names in _groups(root)]
    return min((left for left in found if left is not None), default=None)


def _groups(root: Path) -> Iterator[tuple[Path, tuple[str, str, str]]]:
    """Yield the directories of the groups that this process is in, and of those above them, with what their files are called."""
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return
    mounted = root / "sys/fs/cgroup"
    for line in lines:
        _, controllers, path = [*line.split(":", 2), "", ""][:3]
        if controllers == "":
            top, names = mounted, _V2
        elif "memory" in controllers.split(","):
            top, names = mounted / "memory", _V1
        else:
            continue
        inner = PurePosixPath(path.lstrip("/"))
        for group in (inner, *inner.parents):  # a container may see its own group as the top
            yield top / group, names


def _left(group: Path, names: tuple[str, str, str]) -> int | None:
    limit_name, usage_name, prefix = names
    try:
        limit = (group / limit_name).read_text(encoding="ascii").strip()
        if limit == "max":
            return None
        usage = int((group / usage_name).read_text(encoding="ascii"))
        stat = dict(
            line.split(maxsplit=1)
            for line in (group / "memory.stat").read_text(encoding="ascii").splitlines()
        )
        # Files that were read count as usage, and are given up when there is need.
        cached = sum(int(stat.get(f"{prefix}{name}", 0)) for name in ("active_file", "inactive_file"))
        return max(0, int(limit) - usage + cached)
    except (OSError, ValueError):
        return None
