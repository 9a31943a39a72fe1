"""What an answer needs of an engine, so that others may stand in its place, such as the metrics."""

from collections.abc import AsyncGenerator
from typing import Protocol

from jupyter_mlx_gpt_oss.engine.request import GenerationRequest, Progress, TokenOutput


class TokenSource(Protocol):
    """Tokens in, tokens out."""

    def generate(self, request: GenerationRequest) -> AsyncGenerator[Progress | TokenOutput, None]:
        """Generate one answer; see `Engine.generate`."""
        ...
