"""The scoped API key: opens `gpt-oss/` and nothing else of the notebook server. Kept in the user's own files."""

import hmac
import os
import secrets
import tempfile
from pathlib import Path


def load_or_create_key(path: Path) -> str:
    """Return the key kept in a file; the first call makes it, readable for its owner alone.

    Raises:
        OSError: the file can be neither read nor written.
    """
    try:
        key = path.read_text().strip()
    except FileNotFoundError:
        key = ""
    return key or _create(path)


def new_key() -> str:
    """Return an unguessable key."""
    return f"sk-gpt-oss-{secrets.token_urlsafe(32)}"


def _create(path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    key = new_key()
    # mkstemp gives mode 0600 from the start, and the rename lets no other server read half a key.
    handle, partial = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    with os.fdopen(handle, "w") as file:
        file.write(f"{key}\n")
    Path(partial).replace(path)
    return key


def is_same_key(presented: str, key: str) -> bool:
    """Compare in constant time; an empty key opens nothing."""
    return bool(key) and hmac.compare_digest(presented.encode(), key.encode())
