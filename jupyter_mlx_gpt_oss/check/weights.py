"""A checkpoint's files to the bytes of weights that one decode step of one stream reads.

Attention, router, norms and head once, of the experts as many as a token goes to, of the embedding a single row.
Read from the headers of the safetensors files, so that any quantisation counts as it is stored.
"""

import json
from collections.abc import Iterator
from pathlib import Path

from huggingface_hub import try_to_load_from_cache

from jupyter_mlx_gpt_oss.demo import cached_checkpoint

_DEMO = "demo"
_EXPERTS, _EMBEDDING = ".experts.", "model.embed_tokens."


def find_checkpoint(model: str) -> Path | None:
    """Return the directory of a model that has been loaded before; None where it cannot be found."""
    if model == _DEMO:
        return cached_checkpoint()
    directory = Path(model).expanduser()
    if directory.is_dir():
        return directory
    config = try_to_load_from_cache(model, "config.json") if model.count("/") == 1 else None
    return Path(config).parent if isinstance(config, str) else None


def bytes_per_token(directory: Path) -> int:
    """Return how many bytes of weights a decode step reads for one stream, keys and values left out."""
    config = json.loads((directory / "config.json").read_text(encoding="utf-8"))
    num_used = config.get("num_experts_per_tok") or config["experts_per_token"]
    share = num_used / config["num_local_experts"]
    total = 0.0
    for name, num_bytes in _tensors(directory):
        if not name.startswith(_EMBEDDING):
            total += num_bytes * (share if _EXPERTS in name else 1)
    return int(total)


def _tensors(directory: Path) -> Iterator[tuple[str, int]]:
    """Yield the name and size of each tensor (safetensors: 8 bytes of length, then a header in JSON)."""
    for file in sorted(directory.glob("model*.safetensors")):
        with file.open("rb") as stream:
            header = json.loads(stream.read(int.from_bytes(stream.read(8), "little")))
        for name, entry in header.items():
            if name != "__metadata__":
                begin, end = entry["data_offsets"]
                yield name, end - begin
