"""The scoped API key: opens `gpt-oss/` and nothing else of the notebook server. Kept in the user's own files."""

import fcntl
import hmac
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

_OWNER_ONLY = 0o600


def load_or_create_key(path: Path) -> str:
    """Return the key kept in a file; the first call makes it, readable for its owner alone.

    Servers that start at once agree on one key.

    Raises:
        OSError: the file can be neither read nor written.
    """
    key = _read(path)
    if not key:
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, _OWNER_ONLY), "r+") as file:
            with suppress(OSError):  # a file system without locks
                fcntl.flock(file, fcntl.LOCK_EX)
            key = file.read().strip()
            if not key:
                key = new_key()
                file.seek(0)
                file.truncate()
                file.write(f"{key}\n")
    if stat.S_IMODE(path.stat().st_mode) & ~_OWNER_ONLY:
        path.chmod(_OWNER_ONLY)
    return key


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        return ""


def new_key() -> str:
    """Return an unguessable key."""
    return f"sk-gpt-oss-{secrets.token_urlsafe(32)}"


def is_same_key(presented: str, key: str) -> bool:
    """Compare in constant time; an empty key opens nothing."""
    return bool(key) and hmac.compare_digest(presented.encode(), key.encode())
