"""A scripted engine in another process: it writes down which control tokens stand in the prompts that reach it."""

import json
import os
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

from typing_extensions import override

from jupyter_mlx_gpt_oss.engine.request import GenerationRequest, Progress, TokenOutput
from jupyter_mlx_gpt_oss.vocabulary import token_bytes
from tests.support.scripted_engine import ScriptedEngine

RECORD = "RECORDED_PROMPTS"
"""Names the variable of the environment that names the file: one JSON array a line, for each prompt."""


class RecordingEngine(ScriptedEngine):
    """Says hello to everything."""

    @override
    async def generate(self, request: GenerationRequest) -> AsyncGenerator[Progress | TokenOutput, None]:
        _write_down(request.prompt_token_ids)
        async for item in super().generate(request):
            yield item


def _write_down(prompt_token_ids: Sequence[int]) -> None:
    table = token_bytes()
    control = [token_id for token_id in prompt_token_ids if not table[token_id]]
    with Path(os.environ[RECORD]).open("a", encoding="ascii") as file:
        file.write(f"{json.dumps(control)}\n")
