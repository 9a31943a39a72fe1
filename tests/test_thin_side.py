"""A notebook server whose engine is elsewhere: it serves where MLX cannot be imported."""

import asyncio
import json
import os
import re
import sys
from pathlib import Path

import httpx

from jupyter_mlx_gpt_oss.engine.config import EngineConfig
from tests.support.scripted_engine import ScriptedEngine
from tests.support.strict_completions_server import MODEL, strict_server

WITHOUT_MLX = """
import sys
class NoMlx:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"mlx", "mlx_lm", "llguidance", "transformers", "torch"}:
            raise ImportError(f"{name} is not there on this machine")
sys.meta_path.insert(0, NoMlx())
from jupyter_mlx_gpt_oss.app import GptOss
GptOss.launch_instance()
"""


async def test_chat_tools_and_health_work_without_mlx(tmp_path: Path) -> None:
    behind = ScriptedEngine(EngineConfig())
    behind.enqueue(
        "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>Hi<|return|>"
    )
    homes = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")
    async with strict_server(behind, key="sk-far") as far:
        server = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            WITHOUT_MLX,
            "--allow-root",
            "--port=0",
            f"--engine-url={far.url}",
            "--GptOssRemote.key=sk-far",
            "--GptOss.api_key=sk-near",
            env={**os.environ, **{home: str(tmp_path / home) for home in homes}},
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            url = await _address(server)
            await _chat(url, behind)
        finally:
            server.terminate()
            await server.communicate()
        assert far.refusals == []
    assert server.returncode == 0


async def _address(server: asyncio.subprocess.Process) -> str:
    assert server.stderr is not None
    seen = ""
    async for line in server.stderr:
        seen += line.decode()
        if match := re.search(r"answers at (http://\S+/gpt-oss/v1)$", seen, flags=re.MULTILINE):
            return match.group(1)
    raise AssertionError(seen)


async def _chat(url: str, behind: ScriptedEngine) -> None:
    async with httpx.AsyncClient(headers={"Authorization": "Bearer sk-near"}, timeout=60) as client:
        message = {"role": "user", "content": "Hello"}
        answer = await client.post(f"{url}/chat/completions", json={"messages": [message]})
        assert answer.status_code == 200, answer.text
        body = answer.json()
        assert body["model"] == MODEL
        assert body["choices"][0]["message"]["content"] == "Hi"
        assert body["choices"][0]["message"]["reasoning"] == "Hm."
        assert body["usage"]["completion_tokens"] == len(behind.requests) * 13
        schema = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}}
        held = await client.post(
            f"{url}/chat/completions", json={"messages": [message], "response_format": schema}
        )
        assert held.status_code == 200, held.text
        health = await client.get(f"{url.removesuffix('/v1')}/health")
        assert json.loads(health.text)["state"] == "ready"
