"""The shipped file of o200k_base to token bytes, ids and a directory that openai-harmony can read.

Knows nothing of Harmony, models or requests. Nothing here touches the network.
Source: the o200k_base vocabulary published by OpenAI with tiktoken (MIT), see LICENSE.
"""

import base64
import hashlib
import lzma
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from importlib import resources
from pathlib import Path

NUM_TOKENS = 201_088  # rows of GPT-OSS's embedding table (openai/gpt-oss config.json)
_FILE_NAME = "o200k_base.tiktoken"
_SHA256 = "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d"

SPECIAL_TOKENS = {
    "<|startoftext|>": 199_998,
    "<|endoftext|>": 199_999,
    "<|return|>": 200_002,
    "<|constrain|>": 200_003,
    "<|channel|>": 200_005,
    "<|start|>": 200_006,
    "<|end|>": 200_007,
    "<|message|>": 200_008,
    "<|call|>": 200_012,
}


def tiktoken_bytes() -> bytes:
    """Return the vocabulary file as published: one line of base64 and rank for each token."""
    packed = resources.files(__name__).joinpath(f"{_FILE_NAME}.xz").read_bytes()
    return lzma.decompress(packed)


@cache
def token_ranks() -> dict[bytes, int]:
    """Return every ordinary token's bytes with its id, 199,998 of them."""
    lines = (line.split() for line in tiktoken_bytes().splitlines() if line)
    return {base64.b64decode(token): int(rank) for token, rank in lines}


@cache
def token_bytes() -> tuple[bytes, ...]:
    """Return the bytes of ids 0 to NUM_TOKENS - 1; special and reserved ids have none."""
    table = [b""] * NUM_TOKENS
    for token, rank in token_ranks().items():
        table[rank] = token
    return tuple(table)


@contextmanager
def directory() -> Iterator[Path]:
    """Lend a directory that holds the unpacked vocabulary, for TIKTOKEN_ENCODINGS_BASE.

    Unpacked once into the user's cache folder, and again if the file there is damaged; into a temporary one, which is
    removed behind the block, where that cannot be read or written.
    """
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    with ExitStack() as stack:
        try:
            found = _unpacked(Path(base) / "jupyter_mlx_gpt_oss" / "vocabulary")
        except OSError:  # a read-only home, a full quota: containers, CI
            temporary = stack.enter_context(tempfile.TemporaryDirectory(prefix="jupyter_mlx_gpt_oss-"))
            found = _unpacked(Path(temporary))
        yield found


def _unpacked(target: Path) -> Path:
    file = target / _FILE_NAME
    if file.is_file() and hashlib.sha256(file.read_bytes()).hexdigest() == _SHA256:
        return target
    target.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(f".{os.getpid()}")
    try:
        partial.write_bytes(tiktoken_bytes())
        partial.replace(file)
    except OSError:
        partial.unlink(missing_ok=True)
        raise
    return target
